// Embedding vectors on the network in fewer bytes. A block is `vectors` x `cols` floats; its bytes are
//   fp32  the floats
//   bf16  rounded to nearest even                     error <= 2^-8 of each value
//   fp16  one fp32 scale (a power of two, so that the block's largest value nearly fills the range) and halves:
//         error <= 2^-11 of each value, or 2^-39 of the block's largest where that is more
//   int8  a vector's scale = largest / 127 and its bytes, rounded to nearest: error <= scale / 2 = largest / 254
// padded to a multiple of 4 bytes. Finite values in, finite values out; a NaN or infinity stays one (int8: the whole
// vector becomes NaN), so that a bad gradient is seen where it arrives.
// bf16 and fp16 as in IEEE 754 binary16 and its truncated binary32; the row-wise int8 scale follows Guan et al.,
// arXiv:1911.02079, symmetric instead of min-max.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace swallowtail {

enum class Wire : std::uint8_t { fp32, bf16, fp16, int8 };

std::string_view name_of(Wire wire) noexcept;
std::optional<Wire> parse_wire(std::string_view name) noexcept;

/// Bytes of a block; 0 where it holds no values.
std::int64_t wire_bytes(Wire wire, std::int64_t vectors, std::int64_t cols) noexcept;
/// `values` [vectors, cols]; `out` wire_bytes() long, 4-byte aligned.
void encode(Wire wire, const float* values, std::int64_t vectors, std::int64_t cols, std::byte* out) noexcept;
/// The other way.
void decode(Wire wire, const std::byte* bytes, std::int64_t vectors, std::int64_t cols, float* out) noexcept;

}  // namespace swallowtail
