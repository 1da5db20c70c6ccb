// Scores and user gradients over wide registers, the rows to come asked for ahead of time. Included after a simd_*.h,
// under its target.
#pragma once

#include "kernels/cpu/factor_loss.h"

namespace swallowtail::cpu {
namespace {

constexpr std::int64_t kLanes = 16;

// Always inline: GCC takes a function that only prefetches for one without effect and drops its calls.
[[gnu::always_inline]] inline void prefetch(const float* row, std::int64_t dim) {
  for (std::int64_t d = kLanes; d < std::min<std::int64_t>(dim, 256); d += kLanes) __builtin_prefetch(row + d);
}

F16 load_some(const float* from, std::int64_t count) {
  if (count >= kLanes) return F16::load(from);
  float copy[kLanes] = {};
  std::copy_n(from, count, copy);
  return F16::load(copy);
}

void store_some(F16 values, std::int64_t count, float* to) {
  if (count >= kLanes) return values.store(to);
  float copy[kLanes];
  values.store(copy);
  std::copy_n(copy, count, to);
}

/// Samples [first, end) of a task, at most kLossesTogether: their rows are near when the gradients want them again.
/// kBlocks blocks of 16 columns; 0: any number.
template <int kBlocks>
void score_some(const ScoreTask& task, std::int64_t first, std::int64_t end) {
  const TripletBatch& batch = task.batch;
  const std::int64_t negatives = batch.negatives_each(), size = batch.size();
  const std::int64_t dim = kBlocks == 0 ? task.tables.dim : kBlocks * kLanes;
  const auto user = [&](std::int64_t t) { return task.tables.users + batch.users[t] * dim; };
  const auto item = [&](std::int64_t t, std::int64_t k) {
    return task.tables.items + (k == 0 ? batch.positives[t] : batch.negatives[t * negatives + k - 1]) * dim;
  };
  // The first lines of the rows to come are asked for together: the searches for their pages then overlap, which the
  // work on a sample between them would keep apart. Their other lines follow with each sample.
  for (std::int64_t next = end; next < std::min(end + kLossesTogether, size); ++next) {
    __builtin_prefetch(user(next));
    for (std::int64_t k = 0; k <= negatives; ++k) __builtin_prefetch(item(next, k));
  }
  for (std::int64_t t = first; t < end; ++t) {
    const std::int64_t next = t + kLossesTogether;
    if (next < size) {
      prefetch(user(next), dim);
      for (std::int64_t k = 0; k <= negatives; ++k) prefetch(item(next, k), dim);
    }
    float* scores = task.scratch.coefficients.data() + t * (1 + negatives);
    for (std::int64_t k = 0; k <= negatives; ++k) {
      const float *a = user(t), *b = item(t, k);
      F16 sum = F16::all(0);
      for (std::int64_t d = 0; d < dim; d += kLanes)
        sum = fma(load_some(a + d, dim - d), load_some(b + d, dim - d), sum);
      scores[k] = F16::halved_sum(sum);
    }
  }
  losses_of(task, first, end);
  for (std::int64_t t = first; t < end; ++t) {
    const float* scores = task.scratch.coefficients.data() + t * (1 + negatives);
    float* gradient = task.scratch.user_gradients.data() + t * dim;
    for (std::int64_t d = 0; d < dim; d += kLanes) {
      F16 sum = F16::all(scores[0]) * load_some(item(t, 0) + d, dim - d);
      for (std::int64_t k = 1; k <= negatives; ++k)
        sum = fma(F16::all(scores[k]), load_some(item(t, k) + d, dim - d), sum);
      store_some(sum, dim - d, gradient + d);
    }
  }
}

template <int kBlocks>
void score_all(const ScoreTask& task) {
  const std::int64_t size = task.batch.size();
#pragma omp parallel for schedule(static) if (size >= 256)
  for (std::int64_t first = 0; first < size; first += kLossesTogether)
    score_some<kBlocks>(task, first, std::min(size, first + kLossesTogether));
}

void score(const ScoreTask& task) {
  switch (task.tables.dim) {
    case 16:
      return score_all<1>(task);
    case 32:
      return score_all<2>(task);
    case 64:
      return score_all<4>(task);
    case 128:
      return score_all<8>(task);
    default:
      return score_all<0>(task);
  }
}

constexpr FactorFamily kFamily{score};

}  // namespace
}  // namespace swallowtail::cpu
