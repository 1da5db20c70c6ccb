// Training and evaluation of an experiment, as the command line calls them. Collective: every rank calls the same.
// This header knows no torch, so that callers compile quickly.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "parallel/communicator.h"
#include "trainer/config/experiment.h"

namespace swallowtail {

struct TrainRequest {
  bool resume = false;   // go on from the newest good checkpoint of the run
  bool strict = false;   // with resume: a damaged newest checkpoint is an error, not a reason to take the one before
  bool force = false;    // replace an existing run
  bool dry_run = false;  // validate everything, return the memory bill, write nothing
  bool quiet = false;    // no progress on standard error
  std::string command;   // the command line, for summary.json
  std::filesystem::path prepared{};  // what another run has made of the same data (its prepared/), if it is there
  std::string ablate{};  // of SAP: the part that is left out
};

/// Trains and returns `summary.json` (DESIGN section 5) on every rank; with dry_run the memory bill instead.
/// Errors: usage, data, numbers, resources, damaged as ExitCode says.
nlohmann::json train(const Experiment& experiment, const TrainRequest& request, Communicator& ranks);

struct EvaluateRequest {
  std::filesystem::path run_dir;
  std::string checkpoint = "best";          // best, last, or step-<n>
  std::vector<std::string> splits;          // empty: validation and test, where the data have them
  std::vector<std::filesystem::path> data;  // other files instead of the splits; reported as "data"
  std::filesystem::path predictions;        // TSV: sample, label, probability; empty: none
  std::filesystem::path rankings;           // of a ranking run, TSV: user, items of the test lists; empty: none
  std::vector<std::string> overrides;       // section.key=value over the run's experiment
};

/// {run, checkpoint, metrics {split -> {name -> value or null}}}.
nlohmann::json evaluate(const EvaluateRequest& request, Communicator& ranks);

}  // namespace swallowtail
