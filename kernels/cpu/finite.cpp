#include "kernels/finite.h"

#include <algorithm>
#include <bit>
#include <cstdint>

namespace swallowtail {

namespace {

#if defined(__x86_64__) && !defined(__clang__)
#define SWALLOWTAIL_EACH_ISA __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define SWALLOWTAIL_EACH_ISA
#endif

/// The largest bits of a value without its sign: those of infinity are the least that is not finite.
SWALLOWTAIL_EACH_ISA std::int32_t largest_bits(const float* values, std::int64_t count) {
  std::int32_t largest = 0;
  for (std::int64_t i = 0; i < count; ++i)
    largest = std::max(largest, std::bit_cast<std::int32_t>(values[i]) & 0x7fffffff);
  return largest;
}

}  // namespace

bool has_non_finite(std::span<const float> values) noexcept {
  constexpr std::int64_t kBlock = 16384;
  constexpr std::int32_t kInfinity = 0x7f800000;
  const std::int64_t size = std::ssize(values);
  std::int32_t largest = 0;
#pragma omp parallel for schedule(static) reduction(max : largest) if (size > 65536)
  for (std::int64_t begin = 0; begin < size; begin += kBlock)
    largest = std::max(largest, largest_bits(values.data() + begin, std::min(kBlock, size - begin)));
  return largest >= kInfinity;
}

}  // namespace swallowtail
