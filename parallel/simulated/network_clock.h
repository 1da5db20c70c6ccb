// When messages arrive: the virtual time of a network whose ports serve one message after another. A message leaves by
// its sender's port (its own port within the node, else the NIC of its rail and, where it is the narrower, the node's
// share of the spine), travels, and enters by the receiver's port of the same kind. Bytes stream through: the
// receiver's port begins one latency after the sender's, so an idle way costs the bytes once.
#pragma once

#include <cstdint>
#include <vector>

#include "parallel/simulated/network.h"
#include "parallel/topology.h"

namespace swallowtail {

class NetworkClock {
 public:
  enum class Level : std::uint8_t { node, rail, spine };

  /// A message on its way: when its first byte reaches the receiver's port, and when its last one would, were that
  /// idle.
  struct Transit {
    Level level = Level::node;
    std::int64_t bytes = 0;
    double left_s = 0, first_byte_s = 0, last_byte_s = 0;
  };

  NetworkClock(const NetworkDescription& network, const Topology& topology);

  Level level(int from, int to) const;
  const Link& link(Level level) const { return level == Level::node ? network_.node : network_.rail; }
  const NetworkDescription& network() const noexcept { return network_; }

  /// `rank` works for `seconds`, not before `ready_s` and one thing at a time; returns the end.
  double work(int rank, double ready_s, double seconds);

  /// Calls come in the order of ready_s for one sender's port, which serves them in the order of the calls.
  Transit depart(int from, int to, std::int64_t bytes, double ready_s);
  /// The time of the last byte in `to`. Calls come in the order of first_byte_s for one receiver's port.
  double arrive(int to, const Transit& transit);

 private:
  struct Ports {
    std::vector<double> node, rail, spine;  // when each is free: by rank, by node and rail, by node
  };
  double pass(Ports& ports, int rank, Level level, std::int64_t bytes, double ready_s, double& begin_s);

  NetworkDescription network_;
  const Topology& topology_;
  std::vector<double> busy_until_;
  Ports out_, in_;
};

}  // namespace swallowtail
