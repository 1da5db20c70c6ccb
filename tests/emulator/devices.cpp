// kernels/cuda/devices.h: the emulator is some devices in one memory.
#include "kernels/cuda/devices.h"

#include <cstdlib>
#include <string>

#include "kernels/cuda/device.h"
#include "tests/emulator/memory.h"

namespace swallowtail {

int& emulator::devices() noexcept {
  thread_local int count = 8;
  return count;
}

std::size_t& emulator::device_bytes() noexcept {
  static std::size_t bytes = [] {
    const char* const asked = std::getenv("SWALLOWTAIL_EMULATED_DEVICE_BYTES");
    return asked ? std::stoull(asked) : std::size_t{1} << 30;
  }();
  return bytes;
}

namespace cuda {

int device_count() noexcept { return emulator::devices(); }
DeviceFacts device_facts(int) {
  const auto all = static_cast<std::int64_t>(emulator::device_bytes());
  return {.name = "emulated device",
          .memory_bytes = all,
          .free_bytes = all - static_cast<std::int64_t>(emulator::bytes_in_use())};
}
void use_device(int device) {
  if (device < 0 || device >= emulator::devices())
    throw Failure("the emulator has " + std::to_string(emulator::devices()) + " devices");
}

}  // namespace cuda
}  // namespace swallowtail
