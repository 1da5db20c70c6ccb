// One thread an element, striding; the arrays are read and written once, so memory is the limit.
#pragma once

#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/dense_update.h"
#include "kernels/cuda/half.cuh"
#include "kernels/cuda/optimizer.cuh"

namespace swallowtail::cuda {

struct FindNonFinite {
  const float* values;
  std::int64_t count;
  unsigned long long* first;
  __device__ void operator()(SharedMemory) const {
    for (std::int64_t i = first_item(); i < count; i += item_stride())
      if (!is_finite(values[i])) {
        atomicMin(first, static_cast<unsigned long long>(i));
        return;  // what follows in this thread's share is further behind
      }
  }
};

struct Unscale {
  float* values;
  std::int64_t count;
  const StepFacts* facts;
  __device__ void operator()(SharedMemory) const {
    const float factor = facts->unscale;
    for (std::int64_t i = first_item(); i < count; i += item_stride()) values[i] *= factor;
  }
};

struct SumSquares {
  const float* values;
  std::int64_t count;
  double* partial_sums;  // [gridDim.x]
  __device__ void operator()(SharedMemory memory) const {
    double* const shared = memory.take<double>(kBlockThreads);
    double mine = 0;
    for (std::int64_t i = first_item(); i < count; i += item_stride()) {
      const auto value = static_cast<double>(values[i]);
      mine += value * value;
    }
    const double sum = block_sum(mine, shared);
    if (threadIdx.x == 0) partial_sums[blockIdx.x] = sum;
  }
};

struct UpdateDense {
  DenseUpdate of;
  __device__ void operator()(SharedMemory) const {
    const Rates rates = of.facts->dense;
    float scale = 1;
    if (of.squares) {
      const double norm = sqrt(*of.squares);
      if (norm > of.clip_norm) scale = static_cast<float>(of.clip_norm / norm);
    }
    for (std::int64_t i = first_item(); i < of.count; i += item_stride()) {
      const float weight = updated(rates, i, of.weights[i], of.gradient[i] * scale);
      of.weights[i] = weight;
      if (of.average) of.average[i] += of.facts->average_share * (weight - of.average[i]);
    }
  }

 private:
  __device__ float updated(const Rates& rates, std::int64_t i, float weight, float gradient) const {
    gradient = with_decay(rates, weight, gradient);
    switch (rates.kind) {
      case Optimizer::sgd:
        if (rates.momentum != 0) {
          if (!rates.is_first) gradient = rates.momentum * of.state[i] + gradient;
          of.state[i] = gradient;
        }
        return weight - rates.rate * gradient;
      case Optimizer::adagrad:
      case Optimizer::rowwise_adagrad:
        return adagrad_weight(rates, weight, gradient, of.state[i]);
      default:
        return adam_weight(rates, weight, gradient, of.state[i], of.state[of.count + i]);
    }
  }
};

template <Precision kPrecision>
struct RoundToHalf {
  const float* values;
  std::int64_t count;
  std::uint16_t* out;
  __device__ void operator()(SharedMemory) const {
    for (std::int64_t i = first_item(); i < count; i += item_stride())
      out[i] = static_cast<std::uint16_t>(kPrecision == Precision::fp16 ? to_fp16(values[i]) : to_bf16(values[i]));
  }
};

}  // namespace swallowtail::cuda
