// Where a ranking run makes its steps. This header knows no torch.
#pragma once

#include "trainer/training/device_choice.h"
#include "trainer/training/ranking_session.h"

namespace swallowtail {

/// parallel.device resolved for a ranking experiment, as far as the experiment itself decides; the same on every rank.
/// Errors: usage where cuda is asked for and the program, the machine or the experiment does not allow it.
DeviceChoice choose_device_for_ranking(const Experiment& experiment, const Communicator& ranks);

/// Hands the steps of the session's model to the chosen device, with the tables as they are. Where auto chose it and
/// the model cannot, the choice becomes the CPU. Errors: usage where cuda was asked for; resources where the tables do
/// not fit.
void use_device_for_ranking(RankingSession& session, DeviceChoice& choice);

}  // namespace swallowtail
