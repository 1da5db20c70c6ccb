// One thread a sample; the losses of a block's samples are added as a tree in shared memory, the blocks' by one block
// in their order.
#pragma once

#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/click_loss.h"

namespace swallowtail::cuda {

struct SumLogits {
  LogitTerms terms;
  float* logits;
  __device__ void operator()(SharedMemory) const {
    for (std::int64_t b = first_item(); b < terms.samples; b += item_stride()) {
      float logit = terms.top[b * terms.top_stride];
      for (std::int64_t t = 0; t < terms.linear_count; ++t) logit += terms.linear[b * terms.linear_stride + t];
      float sum = 0;
      for (std::int64_t d = 0; d < terms.dense_count; ++d)
        sum += terms.dense[b * terms.dense_stride + d] * terms.dense_weights[d];
      logits[b] = logit + sum;
    }
  }
};

__device__ inline void spread(const LogitGradient& gradient, std::int64_t b, float value) {
  for (std::int64_t column = 0; column < gradient.top_columns; ++column)
    gradient.top[b * gradient.top_columns + column] = column == 0 ? value : 0.0F;
  for (std::int64_t t = 0; t < gradient.linear_count; ++t) gradient.linear[b * gradient.linear_stride + t] = value;
}

struct SpreadGradient {
  std::int64_t samples;
  const float* logit_gradient;
  LogitGradient gradient;
  __device__ void operator()(SharedMemory) const {
    for (std::int64_t b = first_item(); b < samples; b += item_stride()) spread(gradient, b, logit_gradient[b]);
  }
};

struct SampleLoss {
  ClickLoss loss;
  LossInput input;
  LogitGradient gradient;
  double* partial_sums;  // [blocks]

  static std::int64_t shared_bytes() { return block_sum_bytes(); }

  __device__ void operator()(SharedMemory memory) const {
    double* const shared = memory.take<double>(kBlockThreads);
    const std::int64_t b = first_item();
    const double mine = b < input.samples ? of_sample(b) : 0;
    const double sum = block_sum(mine, shared);
    if (threadIdx.x == 0) partial_sums[blockIdx.x] = sum;
  }

 private:
  __device__ double of_sample(std::int64_t b) const {
    const double logit = static_cast<double>(input.logits[b]), given = static_cast<double>(input.labels[b]);
    const double label = given * (1 - loss.label_smoothing) + loss.label_smoothing / 2;
    const double weight = (given > 0.5 ? loss.positive_weight : loss.negative_weight) *
                          (input.weights ? static_cast<double>(input.weights[b]) : 1.0);
    const double tail = exp(logit < 0 ? logit : -logit);
    const double probability = logit >= 0 ? 1 / (1 + tail) : tail / (1 + tail);
    const double miss = probability - label;
    const double slope = loss.mse ? 2 * miss * probability * (1 - probability) : miss;
    spread(gradient, b, static_cast<float>(input.facts->gradient_scale * weight * slope));
    return weight * (loss.mse ? miss * miss : (logit > 0 ? logit : 0.0) - logit * label + log1p(tail));
  }
};

}  // namespace swallowtail::cuda
