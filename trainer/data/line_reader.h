// Lines of a text file, in memory bounded by the longest line allowed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "trainer/data/byte_source.h"

namespace swallowtail {

constexpr std::size_t kMaxLineBytes = std::size_t{100} << 20;

struct Line {
  std::string_view text;     // without its end; valid until the next call
  std::string_view end;      // "\n", "\r\n", or "" for a last line without line feed
  std::int64_t number = 0;   // 1-based
  bool is_too_long = false;  // longer than the limit: `text` is its beginning, the rest is passed over
};

class LineReader {
 public:
  explicit LineReader(const std::filesystem::path& path, std::size_t max_line_bytes = kMaxLineBytes);
  /// False at the end of the file. A UTF-8 byte order mark before the first line is left out. Errors: as open_bytes.
  bool next(Line& line);
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  bool fill();
  std::filesystem::path path_;
  std::unique_ptr<ByteSource> bytes_;
  std::size_t max_line_bytes_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0;  // what is read and not given out yet
  std::int64_t lines_ = 0;
};

}  // namespace swallowtail
