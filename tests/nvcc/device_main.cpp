// The emulator's tests on a real device. Without one the program says so and ends with 77, which ctest counts as
// skipped.
#include <gtest/gtest.h>

#include <cstdio>
#include <functional>

#include "kernels/cuda/device.h"

namespace swallowtail::cuda::testing {

void under_every_schedule(const std::function<void()>& work) { work(); }  // the device has its own

}  // namespace swallowtail::cuda::testing

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  try {
    swallowtail::cuda::Stream stream;
    stream.wait();
  } catch (const swallowtail::cuda::Failure& failure) {
    std::printf("SKIPPED: there is no CUDA device, so NO KERNEL RAN (%s)\n", failure.what());
    return 77;
  }
  return RUN_ALL_TESTS();
}
