// What a checkpoint of a training run holds, and how it goes out and comes back: the position in the data, schedules'
// step, early stopping, dense parameters (rank 0 writes them, every rank reads them), tables with their optimizer
// state.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "trainer/checkpoint/checkpoint.h"
#include "trainer/checkpoint/save.h"
#include "trainer/embedding/sharded_embedding.h"
#include "trainer/training/dense_parameters.h"
#include "trainer/training/session.h"

namespace swallowtail {

struct RunState {
  std::int64_t step = 0;        // optimizer steps done
  std::int64_t epoch = 0;       // epoch of the next batch
  std::int64_t batch = 0;       // next batch within that epoch
  std::int64_t samples = 0;     // samples trained on
  std::int64_t best_step = -1;  // step of the best validation, -1: none yet
  std::optional<double> best_metric;
  std::int64_t worse_in_a_row = 0;   // validations since the best one
  std::int64_t validated_step = -1;  // of the last validation: a stop on request comes before the one that is due
  double epoch_loss = 0;             // sum over the samples of the epoch so far
};

nlohmann::json to_json(const RunState& state);
RunState run_state_from_json(const nlohmann::json& json);

/// What a checkpoint's manifest says of the run: the state, and what it depends on (data, experiment, order, tables).
nlohmann::json saved_state(const Session& session, const RunState& state);

/// The tables of a run as its manifest and its ledger describe them.
nlohmann::json tables_of_run(const Session& session);

/// The dense parameters with their optimizer's state, borrowed; rank 0 saves them.
std::vector<TensorRef> dense_tensors(DenseParameters& dense);
/// Fills dense parameters and this rank's shards. Errors: damaged where a tensor is missing or has another size.
void restore(const Checkpoint& checkpoint, DenseParameters& dense, ShardedEmbedding& embedding);

}  // namespace swallowtail
