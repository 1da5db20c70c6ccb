// Dot products whose bits do not depend on the machine's instruction set or on how the work is divided.
#pragma once

#include <cstdint>

namespace swallowtail {

/// Sum over d of a[d] * b[d], in 16 interleaved sums that are added pairwise.
inline float dot(const float* a, const float* b, std::int64_t dim) noexcept {
  constexpr int kLanes = 16;
  float sums[kLanes] = {};
  std::int64_t d = 0;
  for (; d + kLanes <= dim; d += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) sums[lane] += a[d + lane] * b[d + lane];
  for (int lane = 0; d < dim; ++d, ++lane) sums[lane] += a[d] * b[d];
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int lane = 0; lane < width; ++lane) sums[lane] += sums[lane + width];
  return sums[0];
}

}  // namespace swallowtail
