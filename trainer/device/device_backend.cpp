#include "trainer/device/device_trainer.h"

namespace swallowtail {

namespace {
const DeviceBackend* backend_in_use = nullptr;
}

const DeviceBackend* device_backend() noexcept { return backend_in_use; }
void set_device_backend(const DeviceBackend* backend) noexcept { backend_in_use = backend; }

}  // namespace swallowtail
