// The 16-bit floats: bf16 and IEEE 754 binary16, rounded to nearest even as F16C does it, and rounded stochastically.
// Internal linkage: each translation unit compiles its own copy for its own instruction set.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace swallowtail::cpu {
namespace {

constexpr std::uint32_t kInfinity = 0x7f800000U, kMagnitude = 0x7fffffffU;

inline std::uint16_t to_bf16(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16, nan = (bits >> 16) | 0x40U;
  return static_cast<std::uint16_t>((bits & kMagnitude) > kInfinity ? nan : rounded);
}

inline float from_bf16(std::uint16_t half) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16);
}

/// Rounds to nearest even; beyond the range to infinity. A NaN keeps the upper bits of its payload.
inline std::uint16_t to_fp16(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = (bits >> 16) & 0x8000U;
  const std::uint32_t magnitude = bits & kMagnitude;
  // Below 2^-14 the float unit rounds while 2^-24 is the last place of 0.5.
  const std::uint32_t small = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) - 0x3f000000U;
  const std::uint32_t normal = std::min(((magnitude + 0xfffU + ((magnitude >> 13) & 1U)) >> 13) - 0x1c000U, 0x7c00U);
  const std::uint32_t nan = 0x7e00U | ((magnitude >> 13) & 0x1ffU);
  const std::uint32_t finite = magnitude < 0x38800000U ? small : normal;
  const std::uint32_t any = magnitude == kInfinity ? 0x7c00U : finite;
  return static_cast<std::uint16_t>(sign | (magnitude > kInfinity ? nan : any));
}

inline float from_fp16(std::uint16_t half) noexcept {
  const auto sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
  const std::uint32_t magnitude = half & 0x7fffU;
  const std::uint32_t small = std::bit_cast<std::uint32_t>(static_cast<float>(magnitude) * 0x1p-24F);
  const std::uint32_t normal = (magnitude << 13) + 0x38000000U;
  const std::uint32_t quiet = magnitude > 0x7c00U ? 0x400000U : 0U;
  const std::uint32_t endless = kInfinity | quiet | ((magnitude & 0x3ffU) << 13);
  const std::uint32_t finite = magnitude < 0x400U ? small : normal;
  return std::bit_cast<float>(sign | (magnitude >= 0x7c00U ? endless : finite));
}

/// bf16 above or below with the probability that keeps the mean; `random` [0, 2^16). Not finite: as to_bf16; a value
/// never rounds to infinity.
inline std::uint16_t to_bf16_stochastic(float value, std::uint32_t random) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t largest = (bits & 0x80000000U) | 0x7f7f0000U;
  const std::uint32_t raised = bits + random;
  const std::uint32_t rounded = (raised & kMagnitude) >= kInfinity ? largest : raised;
  return (bits & kMagnitude) >= kInfinity ? to_bf16(value) : static_cast<std::uint16_t>(rounded >> 16);
}

/// The same for fp16; finite values beyond +-65504 become that.
inline std::uint16_t to_fp16_stochastic(float value, std::uint32_t random) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = (bits >> 16) & 0x8000U;
  const std::uint32_t magnitude = bits & kMagnitude;
  // In units of 2^-24, 16 binary places behind the point; below 2^-14 that is at most 2^26.
  const auto units = static_cast<std::uint32_t>(std::min(std::bit_cast<float>(magnitude), 0x1p-14F) * 0x1p40F);
  const std::uint32_t small = (units + random) >> 16;
  const std::uint32_t normal = std::min(((magnitude + (random >> 3)) >> 13) - 0x1c000U, 0x7bffU);
  const std::uint32_t finite = sign | (magnitude < 0x38800000U ? small : normal);
  return magnitude >= kInfinity ? to_fp16(value) : static_cast<std::uint16_t>(finite);
}

}  // namespace
}  // namespace swallowtail::cpu
