// The idea: sixteen lanes a sample. A score is sixteen interleaved sums that are halved four times, which is what the
// host's registers do, so here a lane is a sum; rows are read in pieces of 64 bytes. Then a lane takes a negative of
// its own, for the exponentials, and the sums over negatives go round by shuffles in their order. What the users' rows
// get is made at once, while the items' rows are in cache; what the items' rows get is a multiple of the users' rows,
// which the grouped update reads where they lie: the users are updated last.
#pragma once

#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/exp_log.cuh"
#include "kernels/cuda/factors.h"

namespace swallowtail::cuda {

constexpr int kFactorLanes = 16;

template <FactorLoss kLoss>
struct ScoreSamples {
  const float *users, *items, *item_bias;
  std::int64_t dim;
  DeviceTriplets batch;
  DeviceLogQ log_q;
  float* coefficients;    // [B, 1 + K]
  float* user_gradients;  // [B, dim]
  float* losses;          // [B]

  __device__ void operator()(SharedMemory) const {
    constexpr std::int64_t kSamples = kBlockThreads / kFactorLanes;
    for (std::int64_t t = blockIdx.x * kSamples + static_cast<int>(threadIdx.x) / kFactorLanes; t < batch.size;
         t += gridDim.x * kSamples)
      sample(t);
  }

 private:
  __device__ static int lane() { return static_cast<int>(threadIdx.x) % kFactorLanes; }
  __device__ std::int64_t item_of(std::int64_t t, std::int64_t k) const {
    return k == 0 ? batch.positives[t] : batch.negatives[t * batch.negatives_each + k - 1];
  }
  /// `mine` of lane j, j = 0 …, where k0 + j is one of the numbers begin … K: `use(value)` in their order, on all
  /// lanes.
  template <typename Use>
  __device__ void in_order(float mine, std::int64_t k0, std::int64_t begin, unsigned mask, Use use) const {
    for (int j = 0; j < kFactorLanes; ++j) {
      const float value = __shfl_sync(mask, mine, j, kFactorLanes);
      if (k0 + j >= begin && k0 + j <= batch.negatives_each) use(value);
    }
  }

  __device__ float dot(const float* a, const float* b, unsigned mask) const {
    float sum = 0;
    for (std::int64_t d = lane(); d < dim; d += kFactorLanes) sum = fmaf(a[d], b[d], sum);
    for (int half = kFactorLanes / 2; half > 0; half /= 2)
      sum += __shfl_down_sync(mask, sum, static_cast<unsigned>(half), kFactorLanes);
    return __shfl_sync(mask, sum, 0, kFactorLanes);
  }

  __device__ float score(std::int64_t t, std::int64_t k, const float* user, unsigned mask) const {
    const std::int64_t item = item_of(t, k);
    float score = dot(user, items + item * dim, mask);
    if (item_bias) score += item_bias[item];
    if (log_q.positives) score -= k == 0 ? log_q.positives[t] : log_q.negatives[t * batch.negatives_each + k - 1];
    return score;
  }

  __device__ void sample(std::int64_t t) const {
    const unsigned mask = group_mask(kFactorLanes);
    const std::int64_t negatives = batch.negatives_each;
    const float* const user = users + batch.users[t] * dim;
    float* const scores = coefficients + t * (1 + negatives);
    const float weight = batch.weights ? batch.weights[t] : 1.0F;
    float positive = 0;
    for (std::int64_t k0 = 0; k0 <= negatives; k0 += kFactorLanes)
      for (int j = 0; j < kFactorLanes && k0 + j <= negatives; ++j) {
        const float one = score(t, k0 + j, user, mask);
        if (k0 + j == 0) positive = one;
        if (lane() == j) scores[k0 + j] = one;  // read by this lane alone until the barrier below
      }
    float loss;
    if constexpr (kLoss == FactorLoss::bpr) {
      loss = bpr(weight, positive, scores, mask);
    } else if constexpr (kLoss == FactorLoss::hardest_bpr) {
      loss = hardest_bpr(weight, positive, scores, mask);
    } else {
      loss = softmax(t, weight, positive, scores, mask);
    }
    if (lane() == 0) losses[t] = loss;
    __syncwarp(mask);
    for (std::int64_t d = lane(); d < dim; d += kFactorLanes) {
      float gradient = scores[0] * items[item_of(t, 0) * dim + d];
      for (std::int64_t k = 1; k <= negatives; ++k)
        gradient = fmaf(scores[k], items[item_of(t, k) * dim + d], gradient);
      user_gradients[t * dim + d] = gradient;
    }
  }

  /// Scores become derivatives; gives the loss. As kernels/cpu/factor_loss.h.
  __device__ float bpr(float weight, float positive, float* scores, unsigned mask) const {
    const std::int64_t negatives = batch.negatives_each;
    const float share = weight / static_cast<float>(negatives);
    float loss = 0, sum = 0;
    for (std::int64_t k0 = 0; k0 <= negatives; k0 += kFactorLanes) {
      const std::int64_t k = k0 + lane();
      float mine = 0, derivative = 0;
      if (k >= 1 && k <= negatives) {
        const float margin = positive - scores[k];
        mine = softplus(-margin);
        derivative = share / (1 + exp_of(margin));
        scores[k] = derivative;
      }
      in_order(mine, k0, 1, mask, [&](float value) { loss += value; });
      in_order(derivative, k0, 1, mask, [&](float value) { sum += value; });
    }
    if (lane() == 0) scores[0] = -sum;
    return share * loss;
  }

  /// The same against the best scored negative alone, the first of equals.
  __device__ float hardest_bpr(float weight, float positive, float* scores, unsigned mask) const {
    const std::int64_t negatives = batch.negatives_each;
    std::int64_t seen = 0, hardest = 0;
    float best = 0;
    for (std::int64_t k0 = 0; k0 <= negatives; k0 += kFactorLanes) {
      const float mine = k0 + lane() <= negatives ? scores[k0 + lane()] : 0.0F;
      in_order(mine, k0, 1, mask, [&](float value) {
        ++seen;
        if (hardest != 0 && !(value > best)) return;
        best = value;
        hardest = seen;
      });
    }
    const float margin = positive - best, derivative = weight / (1 + exp_of(margin));
    for (std::int64_t k = lane(); k <= negatives; k += kFactorLanes)
      scores[k] = k == 0 ? -derivative : k == hardest ? derivative : 0.0F;
    return weight * softplus(-margin);
  }

  __device__ float softmax(std::int64_t t, float weight, float positive, float* scores, unsigned mask) const {
    const std::int64_t negatives = batch.negatives_each;
    const auto counts = [&](std::int64_t k) { return k == 0 || item_of(t, k) != batch.positives[t]; };
    float largest = positive, sum = 0;
    for (std::int64_t k0 = 0; k0 <= negatives; k0 += kFactorLanes) {
      const std::int64_t k = k0 + lane();
      const float mine = k <= negatives && counts(k) ? scores[k] : positive;
      in_order(mine, k0, 1, mask, [&](float value) { largest = largest < value ? value : largest; });
    }
    for (std::int64_t k0 = 0; k0 <= negatives; k0 += kFactorLanes) {
      const std::int64_t k = k0 + lane();
      float mine = 0;
      if (k <= negatives) scores[k] = mine = counts(k) ? exp_of(scores[k] - largest) : 0.0F;
      in_order(mine, k0, 0, mask, [&](float value) { sum += value; });
    }
    for (std::int64_t k = lane(); k <= negatives; k += kFactorLanes) {
      const float derivative = weight * (scores[k] / sum);
      scores[k] = k == 0 ? derivative - weight : derivative;
    }
    return weight * (log_of(sum) - (positive - largest));
  }
};

/// The batch as bags: of its items [B, 1 + K], and of its users.
struct MakeFactorBags {
  DeviceTriplets batch;
  std::int64_t *item_ids, *item_offsets, *user_offsets, *zeros;
  float* ones;
  __device__ void operator()(SharedMemory) const {
    const std::int64_t each = 1 + batch.negatives_each;
    for (std::int64_t i = first_item(); i < batch.size * each; i += item_stride()) {
      const std::int64_t t = i / each, k = i % each;
      item_ids[i] = k == 0 ? batch.positives[t] : batch.negatives[t * batch.negatives_each + k - 1];
    }
    for (std::int64_t t = first_item(); t <= batch.size; t += item_stride()) {
      item_offsets[t] = t * each;
      user_offsets[t] = t;
      ones[t] = 1;
      zeros[t] = 0;
    }
  }
};

/// partial[block] = sum of the block's run of losses; kBlockThreads runs at most.
struct SumLosses {
  const float* losses;
  double* partial_sums;
  std::int64_t count;
  __device__ void operator()(SharedMemory memory) const {
    double* const shared = memory.take<double>(kBlockThreads);
    double mine = 0;
    for (std::int64_t i = first_item(); i < count; i += item_stride()) mine += losses[i];
    const double sum = block_sum(mine, shared);
    if (threadIdx.x == 0) partial_sums[blockIdx.x] = sum;
  }
};

}  // namespace swallowtail::cuda
