// One figure of `swallowtail bench device`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace swallowtail {

struct DeviceTiming {
  std::string kernel, shape;
  std::string unit;                    // GB/s, TFLOP/s, M samples/s
  double value = 0, min = 0, max = 0;  // median of the repeats, in units
  double limit = 0;                    // of this device, measured beside it; or the figure to reach; 0: none
  std::string limit_name;
};

struct DeviceBenchOptions {
  bool tiny = false;  // shapes that the emulator finishes within seconds: the code is exercised, times mean nothing
  std::string only;   // kernels whose name contains this
};

}  // namespace swallowtail
