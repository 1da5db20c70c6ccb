// Vectors that came in parts, one from each of several ranks, made whole on the device: the partial pools of a table
// whose rows are divided, the partial squares of rows whose columns are. All pointers are device memory; calls return
// at once.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/cuda/device.h"

namespace swallowtail::cuda {

/// out[v, d] = scale * (parts[0][v, d] + parts[1][v, d] + …), added in the order of the parts.
struct PartialSum {
  const float* parts = nullptr;  // [count, vectors, cols]
  std::int64_t count = 0, vectors = 0, cols = 0;
  float* out = nullptr;  // [vectors] rows of cols floats, `stride` floats apart
  std::int64_t stride = 0;
  float scale = 1;
};

/// The sums of one launch.
class PartialSums {
 public:
  PartialSums(std::span<const PartialSum> sums, Stream& stream);
  const PartialSum* on_device() const noexcept { return device_.data(); }
  std::int64_t count() const noexcept { return device_.size(); }
  std::int64_t largest() const noexcept { return largest_; }  // values of a sum

 private:
  DeviceBuffer<PartialSum> device_;
  std::int64_t largest_ = 0;
};

/// Cost  4 bytes read a part and value, 4 written a value.
void add_parts(const PartialSums& sums, Stream& stream);

}  // namespace swallowtail::cuda
