// Conversions to and from the wire as plain loops without branches, which the compiler widens to the instruction set
// under which this is included. Values and the 2-byte words of a block are aligned to their size; an int8 vector is
// not.
#pragma once

#include "kernels/cpu/half.h"

namespace swallowtail::cpu {
namespace {

/// The largest magnitude of finite values; infinity where a value is not finite.
float largest_of(const float* values, std::int64_t count) {
  std::int32_t largest = 0;
#pragma omp simd reduction(max : largest)
  for (std::int64_t i = 0; i < count; ++i) {
    const auto magnitude = static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(values[i]) & kMagnitude);
    largest = magnitude > largest ? magnitude : largest;
  }
  return std::bit_cast<float>(std::min(static_cast<std::uint32_t>(largest), kInfinity));
}

/// The power of two that brings `largest` into [2^14, 2^15).
float fp16_scale(float largest) {
  if (largest == 0 || std::bit_cast<std::uint32_t>(largest) >= kInfinity) return 1;
  int exponent = 0;
  std::frexp(largest, &exponent);
  return std::ldexp(1.0F, std::clamp(15 - exponent, -126, 127));
}

void encode_bf16(const float* values, std::int64_t count, std::byte* out) {
  auto* const words = reinterpret_cast<std::uint16_t*>(out);
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) words[i] = to_bf16(values[i]);
}

void encode_fp16(const float* values, std::int64_t count, std::byte* out) {
  const float scale = fp16_scale(largest_of(values, count));
  std::memcpy(out, &scale, sizeof scale);
  auto* const words = reinterpret_cast<std::uint16_t*>(out + sizeof scale);
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) words[i] = to_fp16(values[i] * scale);
}

void encode_int8(const float* values, std::int64_t vectors, std::int64_t cols, std::byte* out) {
  constexpr float kWhole = 12582912.0F;  // 1.5 * 2^23: adding and taking it away rounds to the nearest whole number
  for (std::int64_t v = 0; v < vectors; ++v, values += cols, out += 4 + cols) {
    const float largest = largest_of(values, cols);
    const bool is_finite = std::bit_cast<std::uint32_t>(largest) < kInfinity;
    const float scale = is_finite ? largest / 127 : std::numeric_limits<float>::quiet_NaN();
    std::memcpy(out, &scale, sizeof scale);
    auto* const levels = reinterpret_cast<std::int8_t*>(out + sizeof scale);
    if (!(scale > 0)) {
      std::memset(levels, 0, static_cast<std::size_t>(cols));
      continue;
    }
#pragma omp simd
    for (std::int64_t d = 0; d < cols; ++d) {
      // A scale that underflows to a few last places can make the quotient leave the range.
      float level = values[d] / scale;
      level = level < -127.0F ? -127.0F : level;
      level = level > 127.0F ? 127.0F : level;
      levels[d] = static_cast<std::int8_t>(static_cast<std::int32_t>((level + kWhole) - kWhole));
    }
  }
}

void decode_bf16(const std::byte* bytes, std::int64_t count, float* out) {
  const auto* const words = reinterpret_cast<const std::uint16_t*>(bytes);
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) out[i] = from_bf16(words[i]);
}

void decode_fp16(const std::byte* bytes, std::int64_t count, float* out) {
  float scale = 1;
  std::memcpy(&scale, bytes, sizeof scale);
  const auto* const words = reinterpret_cast<const std::uint16_t*>(bytes + sizeof scale);
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) out[i] = from_fp16(words[i]) / scale;
}

void decode_int8(const std::byte* bytes, std::int64_t vectors, std::int64_t cols, float* out) {
  for (std::int64_t v = 0; v < vectors; ++v, bytes += 4 + cols, out += cols) {
    float scale = 0;
    std::memcpy(&scale, bytes, sizeof scale);
    const auto* const levels = reinterpret_cast<const std::int8_t*>(bytes + sizeof scale);
#pragma omp simd
    for (std::int64_t d = 0; d < cols; ++d) out[d] = scale * static_cast<float>(levels[d]);
  }
}

constexpr WireFamily kFamily{encode_bf16, encode_fp16, encode_int8, decode_bf16, decode_fp16, decode_int8};

}  // namespace
}  // namespace swallowtail::cpu
