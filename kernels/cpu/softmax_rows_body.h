// A row in sixteen lanes, written so that the compiler vectorizes the loops over them. Included under the target of an
// instruction set.
#pragma once

#include "kernels/cpu/exp_log.h"

namespace swallowtail::cpu {
namespace {

constexpr std::int64_t kLanes = 16;

float softmax_row(std::int64_t width, std::int64_t target, float* logits) {
  const std::int64_t whole = width / kLanes * kLanes;
  float lanes[kLanes];
  std::fill_n(lanes, kLanes, -std::numeric_limits<float>::infinity());
  for (std::int64_t i = 0; i < whole; i += kLanes)
#pragma omp simd
    for (std::int64_t l = 0; l < kLanes; ++l) lanes[l] = logits[i + l] > lanes[l] ? logits[i + l] : lanes[l];
  for (std::int64_t i = whole; i < width; ++i) lanes[i - whole] = std::max(lanes[i - whole], logits[i]);
  const float largest = *std::max_element(lanes, lanes + kLanes), own = logits[target];

  std::fill_n(lanes, kLanes, 0.0F);
  for (std::int64_t i = 0; i < whole; i += kLanes)
#pragma omp simd
    for (std::int64_t l = 0; l < kLanes; ++l) {
      logits[i + l] = exp_of(logits[i + l] - largest);
      lanes[l] += logits[i + l];
    }
  for (std::int64_t i = whole; i < width; ++i) {
    logits[i] = exp_of(logits[i] - largest);
    lanes[i - whole] += logits[i];
  }
  float sum = 0;
  for (const float lane : lanes) sum += lane;

  const float share = 1 / sum;
#pragma omp simd
  for (std::int64_t i = 0; i < width; ++i) logits[i] *= share;
  logits[target] -= 1;
  return log_of(sum) + (largest - own);
}

constexpr SoftmaxFamily kFamily{softmax_row};

}  // namespace
}  // namespace swallowtail::cpu
