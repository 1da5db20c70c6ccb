// Times of the device's kernels and whole steps, beside limits measured on the same device in the same run.
#pragma once

#include "kernels/cuda/gemm.h"
#include "trainer/device/device_timing.h"

namespace swallowtail {

/// What the device can do at best, measured: a copy's bytes read and written, and large products.
struct DeviceLimits {
  double copy_bytes_per_s = 0;
  double flops_per_s[4] = {};  // by cuda::Precision
};
DeviceLimits time_limits(const DeviceBenchOptions& options, std::vector<DeviceTiming>& timings);
void time_embedding(const DeviceBenchOptions& options, const DeviceLimits& limits, std::vector<DeviceTiming>& timings);
void time_dense_kernels(const DeviceBenchOptions& options, const DeviceLimits& limits,
                        std::vector<DeviceTiming>& timings);
void time_steps(const DeviceBenchOptions& options, int device, std::vector<DeviceTiming>& timings);

/// All of them on `device`.
std::vector<DeviceTiming> time_device(const DeviceBenchOptions& options, int device);

}  // namespace swallowtail
