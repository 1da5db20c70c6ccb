// Times of the device's kernels and whole steps, beside limits measured on the same device in the same run.
#pragma once

#include "trainer/device/device_clock.h"

namespace swallowtail {

DeviceLimits time_limits(const DeviceBenchOptions& options, std::vector<DeviceTiming>& timings);
void time_embedding(const DeviceBenchOptions& options, const DeviceLimits& limits, std::vector<DeviceTiming>& timings);
void time_dense_kernels(const DeviceBenchOptions& options, const DeviceLimits& limits,
                        std::vector<DeviceTiming>& timings);
void time_steps(const DeviceBenchOptions& options, int device, std::vector<DeviceTiming>& timings);

}  // namespace swallowtail
