#include "parallel/all_to_all/cost_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "parallel/all_to_all/all_to_all.h"
#include "parallel/error.h"
#include "parallel/simulated/exchange_time.h"

namespace swallowtail {

namespace {

constexpr int kSizes = 28;             // simulated at 1 B, 2 B, … 128 MiB; beyond, time grows with the bytes
constexpr int kMostUnequalRanks = 32;  // above, walking through the messages of all ranks takes too long

}  // namespace

CostModel::CostModel(NetworkDescription network, std::span<const int> node_of)
    : network_(std::move(network)), world_size_(static_cast<int>(node_of.size())) {
  const Topology topology(node_of);
  std::vector<int> nodes(topology.node_of);
  if (!topology.has_equal_blocks() && world_size_ > kMostUnequalRanks) {
    const auto by_size = [](const auto& a, const auto& b) { return a.size() < b.size(); };
    const auto most = static_cast<int>(std::ranges::max_element(topology.ranks_of_node, by_size)->size());
    nodes = full_nodes((world_size_ + most - 1) / most * most, most);
  }
  for (const auto& entry : all_to_all_algorithms()) {
    const ExchangeTime time(entry.modelled_as, nodes);
    auto& curve = curves_[std::string(entry.name)];
    for (int i = 0; i < kSizes; ++i) curve.simulated.push_back(time.seconds(network_, std::int64_t{1} << i));
  }
}

const CostModel::Curve& CostModel::curve(std::string_view algorithm) const {
  const auto found = curves_.find(algorithm);
  if (found == curves_.end())
    throw Error{ExitCode::usage, fmt::format("the cost model knows no all_to_all algorithm '{}'", algorithm)};
  return found->second;
}

double CostModel::simulate(std::string_view algorithm, std::int64_t bytes_a_peer) const {
  const auto& times = curve(algorithm).simulated;
  const auto bytes = static_cast<double>(std::max<std::int64_t>(bytes_a_peer, 1));
  const auto low = std::min(static_cast<std::size_t>(std::log2(bytes)), times.size() - 2);
  // Linear in the bytes between two powers of two, and beyond the last one.
  const double low_bytes = std::ldexp(1.0, static_cast<int>(low));
  return times[low] + (times[low + 1] - times[low]) * (bytes - low_bytes) / low_bytes;
}

void CostModel::add_measurement(std::string_view algorithm, std::int64_t bytes_a_peer, double seconds) {
  const double simulated = simulate(algorithm, bytes_a_peer);
  if (simulated <= 0 || seconds <= 0) return;  // one rank: nothing is sent
  curves_.find(algorithm)->second.ratio_by_size[std::log2(static_cast<double>(bytes_a_peer))] = seconds / simulated;
}

double CostModel::predict(std::string_view algorithm, std::int64_t bytes_a_peer) const {
  const double simulated = simulate(algorithm, bytes_a_peer);
  const auto& ratios = curve(algorithm).ratio_by_size;
  if (ratios.empty()) return simulated;
  const double size = std::log2(static_cast<double>(std::max<std::int64_t>(bytes_a_peer, 1)));
  const auto above = ratios.lower_bound(size);
  if (above == ratios.end()) return simulated * ratios.rbegin()->second;
  if (above == ratios.begin()) return simulated * above->second;
  const auto below = std::prev(above);
  const double share = (size - below->first) / (above->first - below->first);
  return simulated * std::exp(std::lerp(std::log(below->second), std::log(above->second), share));
}

}  // namespace swallowtail
