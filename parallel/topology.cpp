#include "parallel/topology.h"

#include <map>

namespace swallowtail {

std::vector<int> full_nodes(int world_size, int ranks_per_node) {
  std::vector<int> node_of;
  for (int rank = 0; rank < world_size; ++rank) node_of.push_back(rank / ranks_per_node);
  return node_of;
}

Topology::Topology(std::span<const int> given) {
  std::map<int, int> index;  // nodes are numbered as they first appear
  for (int rank = 0; rank < static_cast<int>(given.size()); ++rank) {
    const auto [found, is_new] = index.try_emplace(given[static_cast<std::size_t>(rank)], nodes());
    if (is_new) ranks_of_node.emplace_back();
    auto& ranks = ranks_of_node[static_cast<std::size_t>(found->second)];
    node_of.push_back(found->second);
    place_of.push_back(static_cast<int>(ranks.size()));
    ranks.push_back(rank);
  }
}

bool Topology::has_equal_blocks() const noexcept {
  const auto block = ranks_of_node.front().size();
  for (int rank = 0; rank < world_size(); ++rank)
    if (node(rank) != rank / static_cast<int>(block)) return false;
  return static_cast<std::size_t>(world_size()) % block == 0;
}

}  // namespace swallowtail
