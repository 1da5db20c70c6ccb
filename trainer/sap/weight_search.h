// What components are worth together, by the NDCG of their weighted sum over pools: the best weights by coordinate
// search, and which components are worth weighing at all. Source: SAP.md 2.7.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "trainer/sap/pooled.h"

namespace swallowtail {

/// sum_c weights[c] z_c. `weights` outlives it.
RowScorer weighted(const std::vector<double>& weights);

/// Collective: weights [components] among those of the mask `allowed`, best NDCG@k of `rows`; from `start`, or, where
/// it is empty, from each of the three components that are best alone.
std::vector<double> search_weights(const PooledRows& rows, std::int64_t components, std::uint64_t allowed,
                                   std::vector<double> start, std::int64_t k, Communicator& ranks);

struct ComponentChoice {
  struct Dropped {
    std::size_t component;
    double ndcg;  // without it and those before
  };
  std::uint64_t kept = 0;
  double ndcg_of_all = 0;
  std::vector<Dropped> dropped;  // in their order
};

/// Backward elimination from the components of the mask `all`: while `ndcg_of` a mask does not fall, the component goes
/// without which it is highest (ties: the first). Those of the mask `pinned` stay, and one in any case; all where there
/// is nothing to lose.
ComponentChoice choose_components(std::uint64_t all, std::uint64_t pinned,
                                  const std::function<double(std::uint64_t)>& ndcg_of);

}  // namespace swallowtail
