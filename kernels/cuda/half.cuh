// 16-bit floats as bits: the device's conversions, and the stochastic ones of kernels/cpu/half.h with the same bits.
#pragma once

#include "kernels/cuda/device.cuh"

namespace swallowtail::cuda {

__device__ inline float from_fp16(unsigned bits) {
  __half value;
  const auto narrow = static_cast<std::uint16_t>(bits);
  memcpy(&value, &narrow, sizeof value);
  return __half2float(value);
}
__device__ inline float from_bf16(unsigned bits) { return __uint_as_float(bits << 16); }
__device__ inline unsigned to_fp16(float value) {
  const __half half = __float2half_rn(value);
  std::uint16_t bits;
  memcpy(&bits, &half, sizeof bits);
  return bits;
}
__device__ inline unsigned to_bf16(float value) {
  const unsigned bits = __float_as_uint(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return (bits >> 16) | 0x40U;
  return (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
}

/// Above or below with the probability that keeps the mean; random [0, 2^16). Finite values stay finite.
__device__ inline unsigned to_bf16_stochastic(float value, unsigned random) {
  const unsigned bits = __float_as_uint(value), raised = bits + random;
  if ((bits & 0x7fffffffU) >= 0x7f800000U) return to_bf16(value);
  return ((raised & 0x7fffffffU) >= 0x7f800000U ? (bits & 0x80000000U) | 0x7f7f0000U : raised) >> 16;
}
__device__ inline unsigned to_fp16_stochastic(float value, unsigned random) {
  const unsigned bits = __float_as_uint(value), sign = (bits >> 16) & 0x8000U, magnitude = bits & 0x7fffffffU;
  if (magnitude >= 0x7f800000U) return to_fp16(value);
  if (magnitude < 0x38800000U)  // in units of 2^-24, 16 binary places behind the point
    return sign | ((static_cast<unsigned>(__uint_as_float(magnitude) * 0x1p40F) + random) >> 16);
  const unsigned normal = ((magnitude + (random >> 3)) >> 13) - 0x1c000U;
  return sign | (normal < 0x7bffU ? normal : 0x7bffU);
}

}  // namespace swallowtail::cuda
