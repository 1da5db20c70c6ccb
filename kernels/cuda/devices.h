// The devices that this process sees. Implemented over the CUDA runtime (devices.cu) and by the emulator, which has
// one.
#pragma once

#include <cstdint>
#include <string>

namespace swallowtail::cuda {

/// 0 where there is none, or no driver.
int device_count() noexcept;
struct DeviceFacts {
  std::string name;
  int major = 0, minor = 0, multiprocessors = 0;
  std::int64_t memory_bytes = 0, free_bytes = 0;
  double peak_bandwidth = 0;  // bytes a second, of memory clock and bus; 0 where it is not known
};
DeviceFacts device_facts(int device);
/// For this thread, from now on. Errors: Failure.
void use_device(int device);

}  // namespace swallowtail::cuda
