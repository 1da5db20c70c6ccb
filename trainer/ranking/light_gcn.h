// The bipartite graph of users and items, and the averaging over it that LightGCN is made of.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "parallel/communicator.h"
#include "trainer/data/interactions.h"

namespace swallowtail {

class InteractionGraph {
 public:
  /// Nodes: users, then items. An edge for every user and item that met in training.
  InteractionGraph(const Histories& train, std::int64_t items);
  std::int64_t users() const noexcept { return users_; }
  std::int64_t nodes() const noexcept { return static_cast<std::int64_t>(offsets_.size()) - 1; }

  /// Mean of E, Â E, …, Â^layers E for E = `from` [nodes, dim] and Â = D^{-1/2} A D^{-1/2}. Collective; each rank
  /// computes a block of nodes. Cost: layers * edges * dim. Its own transpose.
  std::vector<float> propagate(std::span<const float> from, std::int64_t dim, std::int64_t layers,
                               Communicator& ranks) const;

 private:
  std::int64_t users_;
  std::vector<std::int64_t> offsets_, neighbors_;  // [nodes + 1], [2 * edges]
  std::vector<float> weights_;                     // [2 * edges] 1 / sqrt(degree * degree)
};

}  // namespace swallowtail
