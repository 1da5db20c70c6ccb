// A program that was built without SWALLOWTAIL_CUDA.
#include "trainer/device/device_trainer.h"

namespace swallowtail {

void use_devices() {}

}  // namespace swallowtail
