// kernels/cuda/devices.h: the emulator is one device.
#include "kernels/cuda/devices.h"

#include "kernels/cuda/device.h"
#include "tests/emulator/memory.h"

namespace swallowtail::cuda {

int device_count() noexcept { return 1; }
DeviceFacts device_facts(int) {
  constexpr std::int64_t kMemory = std::int64_t{1} << 30;
  return {.name = "emulated device",
          .memory_bytes = kMemory,
          .free_bytes = kMemory - static_cast<std::int64_t>(emulator::bytes_in_use())};
}
void use_device(int device) {
  if (device != 0) throw Failure("the emulator has one device");
}

}  // namespace swallowtail::cuda
