// Where delimited text is divided: the positions of its tabs (or commas) and line feeds, found for a whole block of
// text before anything of it is parsed (as simdjson indexes structure first, Langdale and Lemire, VLDB Journal 2019).
#pragma once

#include <cstdint>
#include <string_view>

namespace swallowtail {

struct MarkCounts {
  std::int64_t marks = 0, feeds = 0;
};

/// The positions of the bytes of `text` that are `delimiter` or a line feed, rising, are written to `marks`; feeds[k]
/// is how many of them there are up to the k-th line feed, which counts. text      shorter than 2^32 bytes marks
/// [text.size() + 16], feeds [text.size() + 1]: whole words are stored, so a few places behind the last one
///           are overwritten too
/// Errors    none: allocates nothing, throws nothing.
/// Cost      each byte of the text is read once.
MarkCounts find_marks(std::string_view text, char delimiter, std::uint32_t* marks, std::uint32_t* feeds) noexcept;

/// How often `byte` occurs in `text`.
std::int64_t count_byte(std::string_view text, char byte) noexcept;

}  // namespace swallowtail
