// Where the words of a click model's texts start: CBOW over the texts of the training part.
#pragma once

#include "trainer/training/session.h"

namespace swallowtail {

/// Collective, once before the first step; does nothing for a model without text or with model.text.epochs: 0. Rank 0
/// reads the training part once and trains, the others get its vectors.
void start_words(Session& session);

}  // namespace swallowtail
