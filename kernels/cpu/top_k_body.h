// Scores above a threshold, sixteen at a time. Included after a simd_*.h, under its target.
#pragma once

namespace swallowtail::cpu {
namespace {

std::int64_t greater_than(const float* scores, std::int64_t count, float threshold, std::int32_t* places) {
  std::int64_t found = 0, i = 0;
  const F16 limit = F16::all(threshold);
  for (; i + F16::kWidth <= count; i += F16::kWidth)
    for (std::uint32_t bits = F16::greater(F16::load(scores + i), limit); bits != 0; bits &= bits - 1)
      places[found++] = static_cast<std::int32_t>(i + __builtin_ctz(bits));
  for (; i < count; ++i)
    if (scores[i] > threshold) places[found++] = static_cast<std::int32_t>(i);
  return found;
}

constexpr TopKFamily kFamily{greater_than};

}  // namespace
}  // namespace swallowtail::cpu
