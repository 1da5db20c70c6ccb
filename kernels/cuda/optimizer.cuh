// The optimizers of kernels/optimizer.h for one weight, with the same bits: what depends on the step alone is worked out
// by the host.
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/rates.h"

namespace swallowtail::cuda {

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
