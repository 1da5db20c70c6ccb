#include "kernels/wire.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "kernels/cpu/variants.h"
#include "kernels/cpu/wire_kernels.h"

#include "kernels/cpu/wire_body.h"

namespace swallowtail {

const cpu::WireFamily& cpu::wire_scalar() { return cpu::kFamily; }

namespace {

constexpr std::array kNames{
    std::pair{Wire::fp32, std::string_view("fp32")}, std::pair{Wire::bf16, std::string_view("bf16")},
    std::pair{Wire::fp16, std::string_view("fp16")}, std::pair{Wire::int8, std::string_view("int8")}};

/// What a block of these columns really travels as.
Wire effective(Wire wire, std::int64_t cols) noexcept { return wire == Wire::int8 && cols <= 4 ? Wire::bf16 : wire; }

const cpu::WireFamily& family() { return cpu::of_active_isa(cpu::wire_scalar, cpu::wire_avx2, cpu::wire_avx512); }

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
      return family().encode_bf16(values, count, out);
    case Wire::fp16:
      return family().encode_fp16(values, count, out);
    case Wire::int8:
      return family().encode_int8(values, vectors, cols, out);
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
      return family().decode_bf16(bytes, count, out);
    case Wire::fp16:
      return family().decode_fp16(bytes, count, out);
    case Wire::int8:
      return family().decode_int8(bytes, vectors, cols, out);
  }
}

}  // namespace swallowtail
