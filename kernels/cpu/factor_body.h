// Scores and user gradients over wide registers, the rows to come asked for ahead of time. Included after a simd_*.h,
// under its target.
#pragma once

#include "kernels/cpu/factor_loss.h"

namespace swallowtail::cpu {
namespace {

constexpr std::int64_t kLanes = 16, kSamplesAhead = 6;

// Always inline: GCC takes a function that only prefetches for one without effect and drops its calls.
[[gnu::always_inline]] inline void prefetch(const float* row, std::int64_t dim) {
  for (std::int64_t d = 0; d < std::min<std::int64_t>(dim, 256); d += kLanes) __builtin_prefetch(row + d);
}

F16 load_some(const float* from, std::int64_t count) {
  if (count >= kLanes) return F16::load(from);
  float copy[kLanes] = {};
  std::copy_n(from, count, copy);
  return F16::load(copy);
}

float dot(const float* a, const float* b, std::int64_t dim) {
  F16 sum = F16::all(0);
  for (std::int64_t d = 0; d < dim; d += kLanes) sum = fma(load_some(a + d, dim - d), load_some(b + d, dim - d), sum);
  return F16::halved_sum(sum);
}

void score(const ScoreTask& task) {
  const TripletBatch& batch = task.batch;
  const std::int64_t negatives = batch.negatives_each(), dim = task.tables.dim, size = batch.size();
  const auto item = [&](std::int64_t t, std::int64_t k) {
    return task.tables.items + (k == 0 ? batch.positives[t] : batch.negatives[t * negatives + k - 1]) * dim;
  };
#pragma omp parallel for schedule(static) if (size >= 256)
  for (std::int64_t t = 0; t < size; ++t) {
    const std::int64_t next = t + kSamplesAhead;
    if (next < size) {
      prefetch(task.tables.users + batch.users[next] * dim, dim);
      for (std::int64_t k = 0; k <= negatives; ++k) prefetch(item(next, k), dim);
    }
    const float* user = task.tables.users + batch.users[t] * dim;
    float* scores = task.scratch.coefficients.data() + t * (1 + negatives);
    for (std::int64_t k = 0; k <= negatives; ++k) scores[k] = dot(user, item(t, k), dim);
    task.scratch.losses[t] = loss_of(task, t, scores);
    float* gradient = task.scratch.user_gradients.data() + t * dim;
    for (std::int64_t d = 0; d < dim; d += kLanes) {
      const std::int64_t count = dim - d;
      F16 sum = F16::all(scores[0]) * load_some(item(t, 0) + d, count);
      for (std::int64_t k = 1; k <= negatives; ++k)
        sum = fma(F16::all(scores[k]), load_some(item(t, k) + d, count), sum);
      if (count >= kLanes) {
        sum.store(gradient + d);
      } else {
        float copy[kLanes];
        sum.store(copy);
        std::copy_n(copy, count, gradient + d);
      }
    }
  }
}

constexpr FactorFamily kFamily{score};

}  // namespace
}  // namespace swallowtail::cpu
