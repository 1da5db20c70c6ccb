// What the benches of the device share: repeats of work on a stream with the times between events, and their limits.
#pragma once

#include <algorithm>
#include <functional>
#include <string_view>
#include <vector>

#include "kernels/cuda/device.h"
#include "trainer/device/device_timing.h"

namespace swallowtail {

/// What the device can do at best, measured: a copy's bytes read and written, and large products.
struct DeviceLimits {
  double copy_bytes_per_s = 0;
  double flops_per_s[4] = {};  // by cuda::Precision
};

inline bool is_wanted(const DeviceBenchOptions& options, std::string_view kernel) {
  return kernel.find(options.only) != std::string_view::npos;
}

/// Seconds of each repeat, after two that are not counted.
inline std::vector<double> time_on(cuda::Stream& stream, const DeviceBenchOptions& options,
                                   const std::function<void()>& work) {
  const int repeats = options.tiny ? 1 : 20;
  std::vector<double> seconds;
  for (int i = -2; i < repeats; ++i) {
    cuda::Event begin, end;
    begin.record(stream);
    work();
    end.record(stream);
    end.wait();
    if (i >= 0) seconds.push_back(std::max(1e-9, static_cast<double>(end.milliseconds_since(begin)) * 1e-3));
  }
  std::ranges::sort(seconds);
  return seconds;
}

/// `amount` of work (bytes, operations, samples) in units of `scale` a second.
inline DeviceTiming timing_of(std::string kernel, std::string shape, std::string unit, double amount, double scale,
                              const std::vector<double>& seconds) {
  return {.kernel = std::move(kernel),
          .shape = std::move(shape),
          .unit = std::move(unit),
          .value = amount / seconds[seconds.size() / 2] / scale,
          .min = amount / seconds.back() / scale,
          .max = amount / seconds.front() / scale};
}

}  // namespace swallowtail
