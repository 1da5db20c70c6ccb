#include "parallel/simulated/network_clock.h"

#include <algorithm>

namespace swallowtail {

NetworkClock::NetworkClock(const NetworkDescription& network, const Topology& topology)
    : network_(network), topology_(topology), busy_until_(static_cast<std::size_t>(topology.world_size())) {
  const auto ranks = static_cast<std::size_t>(topology.world_size());
  const auto nodes = static_cast<std::size_t>(topology.nodes());
  const auto rails = nodes * static_cast<std::size_t>(network.rails_per_node);
  out_ = in_ = {std::vector<double>(ranks), std::vector<double>(rails), std::vector<double>(nodes)};
}

NetworkClock::Level NetworkClock::level(int from, int to) const {
  if (topology_.node(from) == topology_.node(to)) return Level::node;
  const int rails = network_.rails_per_node;
  return topology_.place(from) % rails == topology_.place(to) % rails ? Level::rail : Level::spine;
}

double NetworkClock::work(int rank, double ready_s, double seconds) {
  auto& busy = busy_until_[static_cast<std::size_t>(rank)];
  return busy = std::max(busy, ready_s) + seconds;
}

/// Puts bytes through the ports of one end; returns when the last one is through.
double NetworkClock::pass(Ports& ports, int rank, Level level, std::int64_t bytes, double ready_s, double& begin_s) {
  const auto use = [&](double& free, double from_s, double bandwidth) {
    begin_s = std::max(free, from_s);
    return free = begin_s + static_cast<double>(bytes) / bandwidth;
  };
  if (level == Level::node)
    return use(ports.node[static_cast<std::size_t>(rank)], ready_s, network_.node.bandwidth_bytes_per_s);
  const int rails = network_.rails_per_node, node = topology_.node(rank);
  const auto nic = static_cast<std::size_t>(node * rails + topology_.place(rank) % rails);
  const double end_s = use(ports.rail[nic], ready_s, network_.rail.bandwidth_bytes_per_s);
  if (network_.spine_oversubscription <= 1) return end_s;
  const double spine = network_.rail.bandwidth_bytes_per_s * rails / network_.spine_oversubscription;
  return std::max(end_s, use(ports.spine[static_cast<std::size_t>(node)], begin_s, spine));
}

NetworkClock::Transit NetworkClock::depart(int from, int to, std::int64_t bytes, double ready_s) {
  Transit transit{.level = level(from, to), .bytes = bytes};
  double begin_s = 0;
  transit.left_s = pass(out_, from, transit.level, bytes, ready_s, begin_s);
  const double latency_s =
      link(transit.level).latency_s + (transit.level == Level::spine ? network_.spine_latency_s : 0);
  transit.first_byte_s = begin_s + latency_s;
  transit.last_byte_s = transit.left_s + latency_s;
  return transit;
}

double NetworkClock::arrive(int to, const Transit& transit) {
  double begin_s = 0;
  return std::max(transit.last_byte_s, pass(in_, to, transit.level, transit.bytes, transit.first_byte_s, begin_s));
}

}  // namespace swallowtail
