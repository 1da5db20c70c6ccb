#include "trainer/data/line_reader.h"

#include <algorithm>
#include <cstring>

namespace swallowtail {
namespace {
constexpr std::size_t kBufferBytes = 1 << 18;
}  // namespace

LineReader::LineReader(const std::filesystem::path& path, std::size_t max_line_bytes)
    : path_(path),
      bytes_(open_bytes(path)),
      max_line_bytes_(max_line_bytes),
      buffer_(kBufferBytes),
      text_(buffer_.data()) {}

LineReader::LineReader(std::string_view text, std::filesystem::path path, std::int64_t lines_before,
                       std::size_t max_line_bytes)
    : path_(std::move(path)),
      max_line_bytes_(max_line_bytes),
      text_(text.data()),
      end_(text.size()),
      lines_(lines_before) {}

/// Reads more behind what is there; grows the buffer where one line fills it.
bool LineReader::fill() {
  if (!bytes_) return false;
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == buffer_.size()) buffer_.resize(std::min(buffer_.size() * 2, max_line_bytes_ + kBufferBytes));
  text_ = buffer_.data();
  const std::size_t got = bytes_->read(std::span(buffer_).subspan(end_));
  end_ += got;
  return got > 0;
}

bool LineReader::next(Line& line) {
  line = {.text = {}, .end = {}, .number = ++lines_, .is_too_long = false};
  std::size_t searched = 0;
  const char* feed = nullptr;
  while (true) {
    const char* from = text_ + begin_ + searched;
    const std::size_t length = end_ - begin_ - searched;
    feed = length == 0 ? nullptr : static_cast<const char*>(std::memchr(from, '\n', length));
    if (feed) break;
    searched += length;
    if (searched > max_line_bytes_) {  // keep the beginning to show it, pass over the rest
      line.is_too_long = true;
      position_ += static_cast<std::int64_t>(end_ - begin_ - kShownLineBytes);
      end_ = begin_ + kShownLineBytes;
      searched = kShownLineBytes;
    }
    if (!fill()) break;
  }
  const std::size_t length = feed ? static_cast<std::size_t>(feed - text_) - begin_ : end_ - begin_;
  if (!feed && length == 0) return false;
  line.text = std::string_view(text_ + begin_, length);
  begin_ += length + (feed ? 1 : 0);
  position_ += static_cast<std::int64_t>(length + (feed ? 1 : 0));
  if (line.is_too_long || line.text.size() > max_line_bytes_) {
    line.is_too_long = true;
    line.text = line.text.substr(0, kShownLineBytes);
    return true;
  }
  if (feed) line.end = "\n";
  if (feed && line.text.ends_with('\r')) {
    line.text.remove_suffix(1);
    line.end = "\r\n";
  }
  if (line.number == 1 && line.text.starts_with("\xef\xbb\xbf")) line.text.remove_prefix(3);
  return true;
}

}  // namespace swallowtail
