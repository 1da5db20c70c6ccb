// Sharded equals unsharded: an experiment's first steps on many ranks against the same steps on one rank that holds all
// tables whole. This header knows no torch.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "parallel/communicator.h"
#include "trainer/config/experiment.h"

namespace swallowtail {

struct VerifyRequest {
  std::int64_t steps = 20;
  std::vector<int> world_sizes{1, 2, 3, 4, 8};  // ranks as threads of this process; not used under mpirun
  bool every_sharding = false;                  // each kind of sharding beside the experiment's own
  bool every_exchange = false;                  // each all-to-all algorithm beside the experiment's own
};

/// Trains `steps` steps on the ranks of `ranks` where there are several, else on threads for each of the world sizes,
/// and compares with one rank: the loss of each step, the logits of the batch that follows, the last gradient of the
/// dense parameters, their weights and optimizer state, and each table's rows, optimizer state and averages.
/// Equal means: the same bits where train.deterministic is on and the wire is fp32; else every array within `bound`
/// (1e-5) relative to its largest value; with a narrower wire losses and logits alone, within 0.05.
/// {equal, bitwise, max_relative_difference, bound, steps, cases [{ranks, sharding, all_to_all, equal, bitwise,
/// max_relative_difference, worst}]}. Collective; the same on every rank.
/// Errors: those of training.
nlohmann::json verify(const Experiment& experiment, const VerifyRequest& request, Communicator& ranks);

}  // namespace swallowtail
