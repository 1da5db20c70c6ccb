// exp and log in fp32 that are made of fused multiply-adds alone, so that no machine's library decides their last bits.
// Series coefficients, exact to about one unit in the last place on the reduced range. Internal linkage: each
// translation unit compiles its own copy for its own instruction set.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace swallowtail::cpu {
namespace {

/// A polynomial in x by Horner's rule, the highest coefficient first. No loop: what calls it is to be vectorised.
template <typename... Coefficients>
inline float polynomial(float x, float highest, Coefficients... others) noexcept {
  float sum = highest;
  ((sum = __builtin_fmaf(sum, x, others)), ...);
  return sum;
}

/// e^x; x is held within [-87, 88], where neither underflow nor overflow begins.
inline float exp_of(float x) noexcept {
  float held = x < 88.0F ? x : 88.0F;  // no return for NaN here, which lanes could not take alone
  held = held > -87.0F ? held : -87.0F;
  const float scaled = __builtin_fmaf(held, 1.44269504F, 12582912.0F) - 12582912.0F;  // to the nearest integer
  float r = __builtin_fmaf(scaled, -0.693359375F, held);  // ln 2 in two parts, the first exact in few bits
  r = __builtin_fmaf(scaled, 2.12194440e-4F, r);
  // 1 + r + r^2/2! + … + r^7/7!, |r| <= ln 2 / 2
  const float sum = polynomial(r, 1.0F / 5040, 1.0F / 720, 1.0F / 120, 1.0F / 24, 1.0F / 6, 0.5F, 1.0F, 1.0F);
  const float value =
      sum * std::bit_cast<float>(static_cast<std::uint32_t>(static_cast<std::int32_t>(scaled) + 127) << 23);
  return x == x ? value : x;
}

/// 2 atanh(s) / s from its series in s^2, |s| <= 1/3.
inline float twice_atanh(float s) noexcept {
  const float square = s * s;
  return 2 * s *
         polynomial(square, 1.0F / 17, 1.0F / 15, 1.0F / 13, 1.0F / 11, 1.0F / 9, 1.0F / 7, 1.0F / 5, 1.0F / 3, 1.0F);
}

/// ln(1 + e) for 0 <= e <= 1.
inline float log1p_of(float e) noexcept { return twice_atanh(e / (2 + e)); }

/// ln x for normal x > 0.
inline float log_of(float x) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if (bits >= 0x7f800000U) return x;                                                        // infinity, NaN
  const auto exponent = static_cast<std::int32_t>((bits - 0x3f3504f3U) >> 23 << 23) >> 23;  // from sqrt(1/2) on
  const float fraction = std::bit_cast<float>(bits - (static_cast<std::uint32_t>(exponent) << 23));
  return __builtin_fmaf(static_cast<float>(exponent), 0.693147181F, twice_atanh((fraction - 1) / (fraction + 1)));
}

/// ln(1 + e^x).
inline float softplus(float x) noexcept { return std::max(x, 0.0F) + log1p_of(exp_of(-(x < 0 ? -x : x))); }

}  // namespace
}  // namespace swallowtail::cpu
