// The variants of the search for scores that reach a threshold: what top_k spends its time on.
#pragma once

#include <cstdint>

namespace swallowtail::cpu {

struct TopKFamily {
  /// The places in [0, count) whose score is greater than `threshold`, rising, into `places` [count]; their number.
  std::int64_t (*greater_than)(const float* scores, std::int64_t count, float threshold, std::int32_t* places);
};

const TopKFamily& top_k_scalar();
const TopKFamily& top_k_avx2();
const TopKFamily& top_k_avx512();

}  // namespace swallowtail::cpu
