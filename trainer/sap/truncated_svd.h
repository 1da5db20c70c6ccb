// The first singular vectors of a training matrix without its trivial part: of
//   D_u^{-1/2} R D_i^{-1/2} - u_0 v_0^T,   u_0 = sqrt(n_u / N), v_0 = sqrt(n_i / N),
// R the users' distinct items. The part that is taken off says only how much a user touches; the rest is what
// correspondence analysis looks at. Randomised subspace iteration with a test matrix from counters; rows of every
// product are divided among the ranks, each computed once, so that the bits do not depend on their number. Source:
// Halko, Martinsson, Tropp, SIAM Review 53 (2011).
#pragma once

#include <cstdint>
#include <vector>

#include "parallel/communicator.h"
#include "trainer/data/interactions.h"

namespace swallowtail {

struct SvdOptions {
  std::int64_t rank = 16, oversampling = 8, power_steps = 4;
  std::uint64_t seed = 1;
};

struct TruncatedSvd {
  std::int64_t rank = 0;       // as asked for, or fewer where the matrix is smaller
  std::vector<double> values;  // [rank] falling
  std::vector<double> users;   // [users, rank] left vectors; rows of users without items are 0
  std::vector<double> items;   // [items, rank] right vectors, the largest entry of each above 0
  double next_value = 0;       // the singular value after the last: what noise reaches
};

/// Collective. Cost: (2 power_steps + 2) * (rank + oversampling) * interactions / ranks.
TruncatedSvd truncated_svd(const Histories& train, std::int64_t items, const SvdOptions& options, Communicator& ranks);

}  // namespace swallowtail
