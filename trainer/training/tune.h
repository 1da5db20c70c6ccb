// `swallowtail tune`: trains trial after trial of a search space and keeps the best experiment. This header knows no
// torch.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "parallel/communicator.h"
#include "trainer/config/experiment.h"

namespace swallowtail {

struct TuneRequest {
  bool resume = false;  // go on with the search in the run's folder
  bool force = false;   // replace it
  bool quiet = false;
  std::string command;
};

/// The search that tune.* describes, of any kind of model, with cross-validation where evaluation.folds asks for it.
/// Writes into the run's folder
///   trials.jsonl  a line a finished trial, at once (tuning/trial_log.h)
///   trials/<n>/   the trial's run, without its checkpoints and data
///   best.yaml     the best experiment, which trains as it stands
///   summary.json  what this returns: {experiment, command, world_size, method, metric, trials, failed, best {trial,
///                 value, epochs, parameters}, best_experiment, out_of_time, seconds, results [as trials.jsonl]}
/// A trial that fails is recorded with its reason and counts as the worst; the search goes on. With tune.parallel:
/// trials every rank trains alone, else all train each trial together; the trials are the same either way. Collective.
/// Errors: usage for a space or metric that cannot be; where every trial failed; stopped as train().
nlohmann::json tune(const Experiment& experiment, const TuneRequest& request, Communicator& ranks);

}  // namespace swallowtail
