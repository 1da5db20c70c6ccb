// The error of a loss that is not finite, alike on every rank.
#pragma once

#include <vector>

#include "trainer/training/step.h"

namespace swallowtail {

/// chunk_losses: those of the global batch's chunks (BatchShare), the same on every rank; one of them is not finite.
/// logits: of this rank's samples. Collective: the error has the words of the rank that has the first bad chunk.
[[noreturn]] void throw_bad_loss(Session& session, const StepInput& input, const std::vector<double>& chunk_losses,
                                 const std::vector<float>& logits);

}  // namespace swallowtail
