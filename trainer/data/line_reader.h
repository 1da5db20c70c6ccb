// Lines of a text file, in memory bounded by the longest line allowed, or of a text in memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "trainer/data/byte_source.h"

namespace swallowtail {

constexpr std::size_t kMaxLineBytes = std::size_t{100} << 20;
constexpr std::size_t kShownLineBytes = 100;  // of a line that is longer

struct Line {
  std::string_view text;     // without its end; valid until the next call
  std::string_view end;      // "\n", "\r\n", or "" for a last line without line feed
  std::int64_t number = 0;   // 1-based
  bool is_too_long = false;  // longer than the limit: `text` is its beginning, the rest is passed over
};

class LineReader {
 public:
  explicit LineReader(const std::filesystem::path& path, std::size_t max_line_bytes = kMaxLineBytes);
  /// Of `text`, a part of the file `path` that follows `lines_before` of its lines; it outlives the reader and is not
  /// copied.
  LineReader(std::string_view text, std::filesystem::path path, std::int64_t lines_before,
             std::size_t max_line_bytes = kMaxLineBytes);
  /// False at the end of the file. A UTF-8 byte order mark before the first line is left out. Errors: as open_bytes.
  bool next(Line& line);
  const std::filesystem::path& path() const noexcept { return path_; }
  /// Bytes of the text (as it is decompressed) that the lines so far took.
  std::int64_t position() const noexcept { return position_; }

 private:
  bool fill();
  std::filesystem::path path_;
  std::unique_ptr<ByteSource> bytes_;  // null: all of the text is there
  std::size_t max_line_bytes_;
  std::vector<char> buffer_;
  const char* text_;                 // the buffer, or the text in memory
  std::size_t begin_ = 0, end_ = 0;  // what of it is there and not given out yet
  std::int64_t lines_ = 0, position_ = 0;
};

}  // namespace swallowtail
