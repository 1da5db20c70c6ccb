// The variants of the conversions to and from the wire: wire.h says what they mean.
#pragma once

#include <cstddef>
#include <cstdint>

namespace swallowtail::cpu {

struct WireFamily {
  void (*encode_bf16)(const float* values, std::int64_t count, std::byte* out);
  void (*encode_fp16)(const float* values, std::int64_t count, std::byte* out);
  void (*encode_int8)(const float* values, std::int64_t vectors, std::int64_t cols, std::byte* out);
  void (*decode_bf16)(const std::byte* bytes, std::int64_t count, float* out);
  void (*decode_fp16)(const std::byte* bytes, std::int64_t count, float* out);
  void (*decode_int8)(const std::byte* bytes, std::int64_t vectors, std::int64_t cols, float* out);
};

const WireFamily& wire_scalar();
const WireFamily& wire_avx2();
const WireFamily& wire_avx512();

}  // namespace swallowtail::cpu
