// Where delimited text is divided: the positions of two bytes, such as a tab and a line feed, found for a whole block
// of text before anything of it is parsed (as simdjson indexes structure first, Langdale and Lemire, VLDB Journal
// 2019).
#pragma once

#include <cstdint>
#include <string_view>

namespace swallowtail {

/// The positions of the bytes of `text` that are `first` or `second`, rising, are written to `out`; returns how many.
/// text      shorter than 2^32 bytes
/// out       [text.size() + 8]: whole words are stored, so a few places behind the last position are overwritten too
/// Errors    none: allocates nothing, throws nothing.
/// Cost      each byte of the text is read once.
std::int64_t find_marks(std::string_view text, char first, char second, std::uint32_t* out) noexcept;

/// How often `byte` occurs in `text`.
std::int64_t count_byte(std::string_view text, char byte) noexcept;

}  // namespace swallowtail
