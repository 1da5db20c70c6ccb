// The optimizers of kernels/optimizer.h for one weight, with the same bits: what depends on the step alone is worked out
// by the host.
#pragma once

#include <cmath>

#include "kernels/cuda/device.cuh"
#include "kernels/optimizer.h"

namespace swallowtail::cuda {

struct Rates {
  Optimizer kind;
  float rate, epsilon, beta1, beta2, decay, momentum;
  float keep;                       // adamw's decoupled decay
  float first_scale, second_scale;  // 1 / (1 - beta^t)
  bool is_first;

  explicit Rates(const OptimizerStep& step)
      : kind(step.kind),
        rate(step.learning_rate),
        epsilon(step.epsilon),
        beta1(step.beta1),
        beta2(step.beta2),
        decay(step.kind == Optimizer::adamw ? 0 : step.weight_decay),
        momentum(step.momentum),
        keep(step.kind == Optimizer::adamw ? 1.0F - step.learning_rate * step.weight_decay : 1.0F),
        first_scale(1),
        second_scale(1),
        is_first(step.step == 1) {
    if (kind != Optimizer::adam && kind != Optimizer::adamw) return;
    const auto t = static_cast<double>(step.step);
    first_scale = static_cast<float>(1.0 / (1.0 - std::pow(static_cast<double>(beta1), t)));
    second_scale = static_cast<float>(1.0 / (1.0 - std::pow(static_cast<double>(beta2), t)));
  }
};

__device__ inline float with_decay(const Rates& rates, float weight, float gradient) {
  return rates.decay == 0 ? gradient : gradient + rates.decay * weight;
}

__device__ inline float adagrad_weight(const Rates& rates, float weight, float gradient, float& sum) {
  sum += gradient * gradient;
  return weight - rates.rate * gradient / (sqrtf(sum) + rates.epsilon);
}

__device__ inline float adam_weight(const Rates& rates, float weight, float gradient, float& first, float& second) {
  first = rates.beta1 * first + (1.0F - rates.beta1) * gradient;
  second = rates.beta2 * second + (1.0F - rates.beta2) * gradient * gradient;
  return weight * rates.keep -
         rates.rate * (first * rates.first_scale) / (sqrtf(second * rates.second_scale) + rates.epsilon);
}

__device__ inline bool is_finite(float value) { return (__float_as_uint(value) & 0x7f800000U) != 0x7f800000U; }

}  // namespace swallowtail::cuda
