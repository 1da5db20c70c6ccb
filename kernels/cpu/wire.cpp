#include "kernels/wire.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "kernels/cpu/half.h"

namespace swallowtail {

namespace {

using cpu::from_bf16;
using cpu::from_fp16;
using cpu::to_bf16;
using cpu::to_fp16;

constexpr std::array kNames{
    std::pair{Wire::fp32, std::string_view("fp32")}, std::pair{Wire::bf16, std::string_view("bf16")},
    std::pair{Wire::fp16, std::string_view("fp16")}, std::pair{Wire::int8, std::string_view("int8")}};

/// What a block of these columns really travels as.
Wire effective(Wire wire, std::int64_t cols) noexcept { return wire == Wire::int8 && cols <= 4 ? Wire::bf16 : wire; }

/// The largest magnitude of finite values; infinity where a value is not finite.
float largest_of(const float* values, std::int64_t count) noexcept {
  float largest = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    if (!std::isfinite(values[i])) return std::numeric_limits<float>::infinity();
    largest = std::max(largest, std::abs(values[i]));
  }
  return largest;
}

/// The power of two that brings `largest` into [2^14, 2^15).
float fp16_scale(float largest) noexcept {
  if (largest == 0 || !std::isfinite(largest)) return 1;
  int exponent = 0;
  std::frexp(largest, &exponent);
  return std::ldexp(1.0F, std::clamp(15 - exponent, -126, 127));
}

void encode_fp16(const float* values, std::int64_t count, std::byte* out) noexcept {
  const float scale = fp16_scale(largest_of(values, count));
  std::memcpy(out, &scale, sizeof scale);
  out += sizeof scale;
  for (std::int64_t i = 0; i < count; ++i, out += 2) {
    const std::uint16_t half = to_fp16(values[i] * scale);
    std::memcpy(out, &half, sizeof half);
  }
}

void decode_fp16(const std::byte* bytes, std::int64_t count, float* out) noexcept {
  float scale = 1;
  std::memcpy(&scale, bytes, sizeof scale);
  bytes += sizeof scale;
  for (std::int64_t i = 0; i < count; ++i, bytes += 2) {
    std::uint16_t half = 0;
    std::memcpy(&half, bytes, sizeof half);
    out[i] = from_fp16(half) / scale;
  }
}

void encode_int8(const float* vector, std::int64_t cols, std::byte* out) noexcept {
  const float largest = largest_of(vector, cols);
  const float scale = std::isfinite(largest) ? largest / 127 : std::numeric_limits<float>::quiet_NaN();
  std::memcpy(out, &scale, sizeof scale);
  out += sizeof scale;
  for (std::int64_t d = 0; d < cols; ++d) {
    // A scale that underflows to a few last places can make the quotient leave the range.
    const float level = scale > 0 ? std::clamp(std::nearbyint(vector[d] / scale), -127.0F, 127.0F) : 0.0F;
    out[d] = static_cast<std::byte>(static_cast<std::int8_t>(level));
  }
}

void decode_int8(const std::byte* bytes, std::int64_t cols, float* out) noexcept {
  float scale = 0;
  std::memcpy(&scale, bytes, sizeof scale);
  bytes += sizeof scale;
  for (std::int64_t d = 0; d < cols; ++d) out[d] = scale * static_cast<float>(static_cast<std::int8_t>(bytes[d]));
}

}  // namespace

std::string_view name_of(Wire wire) noexcept {
  return std::ranges::find(kNames, wire, &decltype(kNames)::value_type::first)->second;
}

std::optional<Wire> parse_wire(std::string_view name) noexcept {
  const auto found = std::ranges::find(kNames, name, &decltype(kNames)::value_type::second);
  return found == kNames.end() ? std::nullopt : std::optional(found->first);
}

std::int64_t wire_bytes(Wire wire, std::int64_t vectors, std::int64_t cols) noexcept {
  const std::int64_t values = vectors * cols;
  if (values == 0) return 0;
  const auto padded = [](std::int64_t bytes) { return (bytes + 3) / 4 * 4; };
  switch (effective(wire, cols)) {
    case Wire::fp32:
      return 4 * values;
    case Wire::bf16:
      return padded(2 * values);
    case Wire::fp16:
      return padded(4 + 2 * values);
    case Wire::int8:
      return padded(vectors * (4 + cols));
  }
  return 0;
}

void encode(Wire wire, const float* values, std::int64_t vectors, std::int64_t cols, std::byte* out) noexcept {
  const std::int64_t count = vectors * cols;
  if (count == 0) return;
  switch (effective(wire, cols)) {
    case Wire::fp32:
      std::memcpy(out, values, static_cast<std::size_t>(count) * sizeof(float));
      return;
    case Wire::bf16:
      for (std::int64_t i = 0; i < count; ++i) {
        const std::uint16_t half = to_bf16(values[i]);
        std::memcpy(out + 2 * i, &half, sizeof half);
      }
      return;
    case Wire::fp16:
      return encode_fp16(values, count, out);
    case Wire::int8:
      for (std::int64_t v = 0; v < vectors; ++v) encode_int8(values + v * cols, cols, out + v * (4 + cols));
      return;
  }
}

void decode(Wire wire, const std::byte* bytes, std::int64_t vectors, std::int64_t cols, float* out) noexcept {
  const std::int64_t count = vectors * cols;
  if (count == 0) return;
  switch (effective(wire, cols)) {
    case Wire::fp32:
      std::memcpy(out, bytes, static_cast<std::size_t>(count) * sizeof(float));
      return;
    case Wire::bf16:
      for (std::int64_t i = 0; i < count; ++i) {
        std::uint16_t half = 0;
        std::memcpy(&half, bytes + 2 * i, sizeof half);
        out[i] = from_bf16(half);
      }
      return;
    case Wire::fp16:
      return decode_fp16(bytes, count, out);
    case Wire::int8:
      for (std::int64_t v = 0; v < vectors; ++v) decode_int8(bytes + v * (4 + cols), cols, out + v * cols);
      return;
  }
}

}  // namespace swallowtail
