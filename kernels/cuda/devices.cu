#include "kernels/cuda/devices.h"

#include <cuda_runtime.h>

#include "kernels/cuda/device.cuh"

namespace swallowtail::cuda {

int device_count() noexcept {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();  // no driver, or no device: not an error of what comes next
  return 0;
}

DeviceFacts device_facts(int device) {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device), "a device's properties");
  check(cudaSetDevice(device), "use of a device");
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "a device's memory");
  int clock_khz = 0;  // of the memory; some drivers do not tell
  if (cudaDeviceGetAttribute(&clock_khz, cudaDevAttrMemoryClockRate, device) != cudaSuccess) cudaGetLastError();
  const double bytes_a_clock = 2.0 * properties.memoryBusWidth / 8;
  return {properties.name,
          properties.major,
          properties.minor,
          properties.multiProcessorCount,
          static_cast<std::int64_t>(total),
          static_cast<std::int64_t>(free),
          clock_khz * 1e3 * bytes_a_clock};
}

void use_device(int device) { check(cudaSetDevice(device), "use of a device"); }

}  // namespace swallowtail::cuda
