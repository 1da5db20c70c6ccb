// `swallowtail plan`: from an experiment to a plan on paper, and the model behind it against measured and published
// steps. This header knows no torch.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "parallel/communicator.h"
#include "trainer/config/experiment.h"

namespace swallowtail {

struct PlanRequest {
  int world_size = 1;
  std::string cluster = "cpu";  // a built-in name or a file
  std::filesystem::path svg;    // the ranks' load as a picture; empty: none
};

struct PlanAnswer {
  nlohmann::ordered_json json;
  std::string text;
};

/// Reads no data: tables come from data.tables or data.tables_preset, or from what an earlier run of the experiment has
/// prepared. The same on every rank; rank 0 writes the picture.
/// Errors: resources where nothing fits, with the missing bytes; data where the tables are not known yet.
PlanAnswer plan(const Experiment& experiment, const PlanRequest& request, Communicator& ranks);

/// `--validate`: predicts published results with one of them fitted, measures steps of the experiment on the ranks at
/// hand and predicts them from constants that are measured beside. Collective.
PlanAnswer validate_plan(const Experiment& experiment, Communicator& ranks);

}  // namespace swallowtail
