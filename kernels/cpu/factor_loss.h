// Losses of one sample from its scores. Internal linkage, as exp_log.h.
#pragma once

#include "kernels/cpu/exp_log.h"

namespace swallowtail::cpu {
namespace {

/// scores [1 + K], the positive's first, become the derivatives by them; gives the loss.
inline float bpr_loss(float weight, std::int64_t negatives, float* scores) noexcept {
  const float share = weight / static_cast<float>(negatives), positive = scores[0];
  float loss = 0, sum = 0;
  for (std::int64_t k = 1; k <= negatives; ++k) {
    const float margin = positive - scores[k];
    loss += softplus(-margin);
    scores[k] = share / (1 + exp_of(margin));
    sum += scores[k];
  }
  scores[0] = -sum;
  return share * loss;
}

/// The same against the best scored negative alone.
inline float hardest_bpr_loss(float weight, std::int64_t negatives, float* scores) noexcept {
  std::int64_t hardest = 1;
  for (std::int64_t k = 2; k <= negatives; ++k)
    if (scores[k] > scores[hardest]) hardest = k;
  float pair[2] = {scores[0], scores[hardest]};
  const float loss = bpr_loss(weight, 1, pair);
  std::fill_n(scores, 1 + negatives, 0.0F);
  scores[0] = pair[0];
  scores[hardest] = pair[1];
  return loss;
}

inline float softmax_loss(float weight, std::int64_t negatives, const std::int64_t* negative_items,
                          std::int64_t positive_item, float* scores) noexcept {
  float largest = scores[0];
  const auto counts = [&](std::int64_t k) { return k == 0 || negative_items[k - 1] != positive_item; };
  for (std::int64_t k = 1; k <= negatives; ++k)
    if (counts(k)) largest = std::max(largest, scores[k]);
  const float positive = scores[0] - largest;
  float sum = 0;
  for (std::int64_t k = 0; k <= negatives; ++k) {
    scores[k] = counts(k) ? exp_of(scores[k] - largest) : 0.0F;
    sum += scores[k];
  }
  for (std::int64_t k = 0; k <= negatives; ++k) scores[k] = weight * (scores[k] / sum);
  scores[0] -= weight;
  return weight * (log_of(sum) - positive);
}

/// Either, from the scores of sample t with bias and correction.
inline float loss_of(const ScoreTask& task, std::int64_t t, float* scores) noexcept {
  const std::int64_t negatives = task.batch.negatives_each();
  const std::int64_t* items = task.batch.negatives.data() + t * negatives;
  const float* bias = task.tables.item_bias;
  if (bias != nullptr) {
    scores[0] += bias[task.batch.positives[t]];
    for (std::int64_t k = 0; k < negatives; ++k) scores[1 + k] += bias[items[k]];
  }
  const float weight = task.batch.weights.empty() ? 1.0F : task.batch.weights[t];
  if (task.loss == FactorLoss::bpr) return bpr_loss(weight, negatives, scores);
  if (task.loss == FactorLoss::bpr_hardest) return hardest_bpr_loss(weight, negatives, scores);
  if (!task.log_q.positives.empty()) {
    scores[0] -= task.log_q.positives[t];
    for (std::int64_t k = 0; k < negatives; ++k) scores[1 + k] -= task.log_q.negatives[t * negatives + k];
  }
  return softmax_loss(weight, negatives, items, task.batch.positives[t], scores);
}

constexpr std::int64_t kLossesTogether = 16;

/// The same for samples [first, end), of at most kLossesTogether: what is common has no branch that a lane could take
/// alone.
inline void losses_of(const ScoreTask& task, std::int64_t first, std::int64_t end) noexcept {
  const std::int64_t each = 1 + task.batch.negatives_each();
  float *scores = task.scratch.coefficients.data() + first * each, *losses = task.scratch.losses.data() + first;
  if (task.loss != FactorLoss::bpr || each != 2) {
    for (std::int64_t t = first; t < end; ++t, scores += each) *losses++ = loss_of(task, t, scores);
    return;
  }
  const std::int64_t count = end - first;
  float margins[kLossesTogether] = {}, weights[kLossesTogether], all_losses[kLossesTogether], slopes[kLossesTogether];
  const float* bias = task.tables.item_bias;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t t = first + i;
    const float positive = scores[2 * i] + (bias == nullptr ? 0.0F : bias[task.batch.positives[t]]);
    const float negative = scores[2 * i + 1] + (bias == nullptr ? 0.0F : bias[task.batch.negatives[t]]);
    margins[i] = positive - negative;
    weights[i] = task.batch.weights.empty() ? 1.0F : task.batch.weights[t];
  }
  std::fill(weights + count, weights + kLossesTogether, 0.0F);
#pragma omp simd
  for (std::int64_t i = 0; i < kLossesTogether; ++i) {
    all_losses[i] = weights[i] * softplus(-margins[i]);
    slopes[i] = weights[i] / (1 + exp_of(margins[i]));
  }
  for (std::int64_t i = 0; i < count; ++i) {
    losses[i] = all_losses[i];
    scores[2 * i] = -slopes[i];
    scores[2 * i + 1] = slopes[i];
  }
}

}  // namespace
}  // namespace swallowtail::cpu
