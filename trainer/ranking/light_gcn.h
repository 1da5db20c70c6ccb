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

  /// out [nodes, dim] = mean of E, Â E, …, Â^layers E for E = `from` [nodes, dim] and Â = D^{-1/2} A D^{-1/2}; from and
  /// out may be one array. Collective; each rank computes a block of nodes. Cost: layers * edges * dim. Its own
  /// transpose. Not for several threads at once: the layers between are kept in the graph.
  void propagate(std::span<const float> from, std::int64_t dim, std::int64_t layers, Communicator& ranks,
                 std::span<float> out);

 private:
  std::int64_t users_;
  std::vector<std::int64_t> offsets_, neighbors_;  // [nodes + 1], [2 * edges]
  std::vector<float> weights_;                     // [2 * edges] 1 / sqrt(degree * degree)
  std::vector<float> layer_, next_;                // [nodes, dim] while something is propagated
};

}  // namespace swallowtail
