// kernels/cuda/devices.h: the emulator is some devices in one memory.
#include "kernels/cuda/devices.h"

#include <string>

#include "kernels/cuda/device.h"
#include "tests/emulator/memory.h"

namespace swallowtail {

int& emulator::devices() noexcept {
  thread_local int count = 8;
  return count;
}

namespace cuda {

int device_count() noexcept { return emulator::devices(); }
DeviceFacts device_facts(int) {
  constexpr std::int64_t kMemory = std::int64_t{1} << 30;
  return {.name = "emulated device",
          .memory_bytes = kMemory,
          .free_bytes = kMemory - static_cast<std::int64_t>(emulator::bytes_in_use())};
}
void use_device(int device) {
  if (device < 0 || device >= emulator::devices())
    throw Failure("the emulator has " + std::to_string(emulator::devices()) + " devices");
}

}  // namespace cuda
}  // namespace swallowtail
