// The variants of a softmax's rows: softmax_rows.h says what they mean.
#pragma once

#include <cstdint>

namespace swallowtail::cpu {

struct SoftmaxFamily {
  /// One row [width]; gives its loss.
  float (*row)(std::int64_t width, std::int64_t target, float* logits);
};

const SoftmaxFamily& softmax_rows_scalar();
const SoftmaxFamily& softmax_rows_avx2();
const SoftmaxFamily& softmax_rows_avx512();

}  // namespace swallowtail::cpu
