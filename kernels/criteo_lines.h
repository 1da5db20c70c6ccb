// Lines of Criteo's raw format (a label, 13 integers, 26 categories, tabs between) whose fields are as nearly all are,
// decoded eight at a time and without a branch a field. Whoever reads field by field takes the lines that this refuses,
// and says what is wrong with them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace swallowtail {

namespace criteo {
inline constexpr std::size_t kIntegers = 13, kCategories = 26, kFields = 1 + kIntegers + kCategories;
inline constexpr std::size_t kGroup = 8;  // lines: their integers and their categories fill whole registers
inline constexpr std::int32_t kMissing = std::numeric_limits<std::int32_t>::min();
}  // namespace criteo

/// Eight lines: `marks` are the places in `text` of their tabs and line feeds, 40 a line; the first one begins at
/// `begin`.
struct CriteoText {
  const char* text;
  std::uint32_t begin;
  const std::uint32_t* marks;  // [kGroup, kFields]
};

/// How the categories of a group become ids: first + floor(hash * range / 2^64), where the hash is random::mix(start ^
/// the eight bytes of the category), the first byte lowest, and then modulo `modulus` where has_modulus; an empty one
/// becomes `missing`. [kGroup, kCategories], each line alike. All but `start` and `reciprocal` are below 2^32.
struct CriteoHashes {
  static constexpr std::size_t kSize = criteo::kGroup * criteo::kCategories;
  using Each = std::array<std::uint64_t, kSize>;
  alignas(64) Each start, range, first, missing, modulus;
  alignas(64) Each reciprocal;  // floor((2^64 - 1) / modulus) + 1, in 64 bits
  bool has_modulus = false;
};

struct CriteoGroup {
  std::array<float, criteo::kGroup> labels;
  alignas(64) std::array<std::int32_t, criteo::kGroup * criteo::kIntegers> integers;  // or kMissing; line by line
};

/// True, and `out` and `ids` [kGroup, kCategories] filled, where every label is 0 or 1, every integer is empty or has
/// one to eight characters, digits behind perhaps a minus, and every category is empty or eight hexadecimal digits. A
/// carriage return before a line feed belongs to no field. False elsewhere; what was written then means nothing.
/// Requires  eight readable bytes behind the last line feed.
/// Errors    none: allocates nothing, throws nothing.
bool decode_criteo(const CriteoText& lines, const CriteoHashes& hashes, CriteoGroup& out, std::int64_t* ids) noexcept;

}  // namespace swallowtail
