// One training step, read from top to bottom: the life of a batch (DESIGN section 3).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "trainer/data/batch.h"
#include "trainer/training/phase_clock.h"
#include "trainer/training/session.h"

namespace swallowtail {

/// The batch after the one that is trained; its ids are sent meanwhile.
struct NextBatch {
  const Batch& batch;          // this rank's part; stays as it is until it has been trained
  std::int64_t batch_samples;  // of the global batch
};

struct StepInput {
  const Batch& batch;           // this rank's part
  std::int64_t batch_samples;   // of the global batch
  std::int64_t step;            // counts from 1
  double rate_factor;           // of the base learning rates
  bool stop_requested = false;  // on this rank
  std::optional<NextBatch> next{};
};

struct StepOutcome {
  double loss = 0;              // mean over the global batch, the same on every rank
  bool stop_requested = false;  // on any rank
  bool skipped = false;         // not finite, and train.on_nonfinite is skip: nothing was updated
  std::string note{};           // for the log: the loss scale changed
};

/// Errors: numbers, naming step and sample, parameter or table row, where loss or gradient is not finite.
StepOutcome train_step(Session& session, const StepInput& input, PhaseClock& clock);

/// Logits [B_local, L] of this rank's part, without gradients. `averaged`: of the averaged weights of the tables (the
/// dense ones are swapped by the caller).
torch::Tensor predict_step(Session& session, const Batch& batch, std::int64_t batch_samples, std::int64_t step,
                           bool averaged);

}  // namespace swallowtail
