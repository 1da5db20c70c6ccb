// Runs on a device: where a run computes, and a session's work there.
//   one rank        the whole step on the device: tables, dense part, optimizers (DeviceTrainer)
//   several ranks   each rank's dense part on its device, one rank a device; tables, their exchange, the sums over
//   ranks
//                   and the optimizers are the host's, as in a run without devices
// The host's arrays are the checkpoint's truth: they are brought up to date before a save and sent up after a load.
#pragma once

#include "trainer/training/step.h"

namespace swallowtail {

/// parallel.device resolved for this rank. Errors: usage where cuda is asked for and the program, the machine or the
/// experiment does not allow it.
DeviceChoice choose_device(const Experiment& experiment, Communicator& ranks);

/// Fills session.device, or session.pass where there are several ranks; called once, at the end of its constructor.
/// Errors: usage where cuda is asked for and the data have what no device trains; with auto the choice becomes the CPU.
void use_device(Session& session);

/// One step where session.device is set. Errors: as train_step.
StepOutcome device_train_step(Session& session, const StepInput& input, PhaseClock& clock);

/// The host's arrays from the device's, and back; nothing without a device.
void fetch_from_device(Session& session);
void send_to_device(Session& session);

}  // namespace swallowtail
