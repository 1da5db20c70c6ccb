// exp and log in fp32 made of fused multiply-adds: the bits of kernels/cpu/exp_log.h, which says what they are.
#pragma once

#include "kernels/cuda/device.cuh"

namespace swallowtail::cuda {

__device__ inline float exp_of(float x) {
  if (x != x) return x;
  x = x < -87.0F ? -87.0F : x > 88.0F ? 88.0F : x;
  const float scaled = fmaf(x, 1.44269504F, 12582912.0F) - 12582912.0F;
  float r = fmaf(scaled, -0.693359375F, x);
  r = fmaf(scaled, 2.12194440e-4F, r);
  float sum = fmaf(1.0F / 5040, r, 1.0F / 720);
  sum = fmaf(sum, r, 1.0F / 120);
  sum = fmaf(sum, r, 1.0F / 24);
  sum = fmaf(sum, r, 1.0F / 6);
  sum = fmaf(sum, r, 0.5F);
  sum = fmaf(sum, r, 1.0F);
  sum = fmaf(sum, r, 1.0F);
  return sum * __uint_as_float(static_cast<unsigned>(static_cast<int>(scaled) + 127) << 23);
}

__device__ inline float twice_atanh(float s) {
  const float square = s * s;
  float sum = fmaf(1.0F / 17, square, 1.0F / 15);
  sum = fmaf(sum, square, 1.0F / 13);
  sum = fmaf(sum, square, 1.0F / 11);
  sum = fmaf(sum, square, 1.0F / 9);
  sum = fmaf(sum, square, 1.0F / 7);
  sum = fmaf(sum, square, 1.0F / 5);
  sum = fmaf(sum, square, 1.0F / 3);
  sum = fmaf(sum, square, 1.0F);
  return 2 * s * sum;
}

/// ln(1 + e) for 0 <= e <= 1.
__device__ inline float log1p_of(float e) { return twice_atanh(e / (2 + e)); }

/// ln x for normal x > 0.
__device__ inline float log_of(float x) {
  const unsigned bits = __float_as_uint(x);
  if (bits >= 0x7f800000U) return x;
  const int exponent = static_cast<int>((bits - 0x3f3504f3U) >> 23 << 23) >> 23;
  const float fraction = __uint_as_float(bits - (static_cast<unsigned>(exponent) << 23));
  return fmaf(static_cast<float>(exponent), 0.693147181F, twice_atanh((fraction - 1) / (fraction + 1)));
}

/// ln(1 + e^x).
__device__ inline float softplus(float x) { return (x > 0 ? x : 0.0F) + log1p_of(exp_of(-(x < 0 ? -x : x))); }

}  // namespace swallowtail::cuda
