// Times of BPR's step on the device, beside what its bytes would take in a copy.
#pragma once

#include <vector>

#include "trainer/device/device_clock.h"

namespace swallowtail {

/// The kernels of a step alone, and whole steps with their triplets' way to the device.
void time_factors(const DeviceBenchOptions& options, const DeviceLimits& limits, std::vector<DeviceTiming>& timings);

}  // namespace swallowtail
