// The step model against steps of an experiment on the ranks at hand.
#pragma once

#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "parallel/communicator.h"
#include "trainer/config/experiment.h"
#include "trainer/planning/step_model.h"

namespace swallowtail {

struct StepValidation {
  int world_size = 1;
  std::int64_t batch = 0, steps = 0;
  double measured_s = 0;  // lower quartile of the steps, of the slowest rank: others may use the machine too
  double median_s = 0;
  nlohmann::ordered_json measured_phases;  // rank 0, mean seconds a step
  StepPrediction predicted;
  double error() const noexcept { return predicted.step_s / measured_s - 1; }
};

/// Opens the data, measures constants, trains some steps (at least three seconds of them, at most 200), measures again.
/// Collective. Writes nothing that stays.
StepValidation validate_steps(const Experiment& experiment, Communicator& ranks);

nlohmann::ordered_json to_json(const StepValidation& validation);
std::string step_validation_text(const StepValidation& validation);

}  // namespace swallowtail
