// Which rank stands on which machine.
#pragma once

#include <span>
#include <vector>

namespace swallowtail {

/// Machines of ranks_per_node ranks each, in order, the last one perhaps smaller: the machine index of each rank.
std::vector<int> full_nodes(int world_size, int ranks_per_node);

/// The ranks of each node (machine), and the place of each rank in its node: ranks with one place in different nodes
/// stand on the same rail.
struct Topology {
  /// given [world_size]: the machine of each rank, by any numbers.
  explicit Topology(std::span<const int> given);

  std::vector<int> node_of;                     // [world_size]: in the order of their first ranks, from 0 without gaps
  std::vector<int> place_of;                    // [world_size]: index of the rank among its node's ranks
  std::vector<std::vector<int>> ranks_of_node;  // [nodes]: ascending

  int world_size() const noexcept { return static_cast<int>(node_of.size()); }
  int nodes() const noexcept { return static_cast<int>(ranks_of_node.size()); }
  int node(int rank) const { return node_of[static_cast<std::size_t>(rank)]; }
  int place(int rank) const { return place_of[static_cast<std::size_t>(rank)]; }
  const std::vector<int>& ranks(int on_node) const { return ranks_of_node[static_cast<std::size_t>(on_node)]; }
  /// Node k holds the ranks [k * n, (k + 1) * n) for one n.
  bool has_equal_blocks() const noexcept;
};

}  // namespace swallowtail
