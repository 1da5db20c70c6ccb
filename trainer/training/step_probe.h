// The constants of the step model (planning/step_model.h), measured on the ranks at hand: rates of the kernels that a
// step is made of, each by itself, and what a step costs that trains next to nothing. No whole step of the experiment's
// size is among them.
#pragma once

#include "trainer/planning/step_model.h"
#include "trainer/training/session.h"

namespace swallowtail {

/// Collective; all ranks measure at the same time, as they share memory and cores, and get the same constants. Trains
/// the session's model on a few small batches. Takes about two seconds.
StepConstants probe_step(Session& session);

/// The median of each constant over several measurements.
StepConstants median_of(std::span<const StepConstants> probes);

}  // namespace swallowtail
