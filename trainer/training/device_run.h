// Runs on a device: where a run computes, and a session's work there.
//   one rank        the whole step on the device: tables, dense part, optimizers (DeviceTrainer); tables that do not
//                   fit lie in host memory, with row caches on the device
//   several ranks   the same, each rank's shards of the tables in its device's memory; vectors, gradients and sums go
//                   from device to device, ids from host to host. Where shards do not fit, or ranks share a device,
//                   the dense part alone (DeviceDense): tables, exchanges and optimizers are the host's
// The host's arrays are the checkpoint's truth: they are brought up to date before a save and sent up after a load.
#pragma once

#include "trainer/training/step.h"

namespace swallowtail {

/// parallel.device resolved for this rank, all on devices or none. Collective. Errors: usage where cuda is asked for
/// and the program, the machine or the experiment does not allow it.
DeviceChoice choose_device(const Experiment& experiment, Communicator& ranks);

/// Fills session.device, or session.pass where the tables stay on the host; collective, called once, at the end of its
/// constructor. Errors: usage where cuda is asked for and the data have what no device trains; with auto the choice
/// becomes the CPU.
void use_device(Session& session);

/// One step where session.device is set. Errors: as train_step.
StepOutcome device_train_step(Session& session, const StepInput& input, PhaseClock& clock);

/// Logits of this rank's part where session.device is set. Collective.
std::vector<float> device_predict(Session& session, const Batch& batch, std::int64_t batch_samples, std::int64_t step,
                                  bool averaged);

/// The host's arrays from the device's, and back; nothing without a device.
void fetch_from_device(Session& session);
void send_to_device(Session& session);

}  // namespace swallowtail
