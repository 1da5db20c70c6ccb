#include "trainer/data/text_blocks.h"

#include <algorithm>
#include <string_view>

#include "kernels/marks.h"
#include "trainer/data/line_reader.h"

namespace swallowtail {

TextBlocks::TextBlocks(const std::filesystem::path& file, const RowFormat& format, std::size_t block_bytes)
    : format_(format), bytes_(open_bytes(file)), block_bytes_(block_bytes), lines_(format.start().lines) {
  skip(format.start().bytes);
}

void TextBlocks::skip(std::int64_t bytes) {
  std::vector<char> passed(std::size_t{1} << 16);
  while (bytes > 0) {
    const std::size_t got =
        bytes_->read(std::span(passed).first(std::min(passed.size(), static_cast<std::size_t>(bytes))));
    if (got == 0) return;
    bytes -= static_cast<std::int64_t>(got);
  }
}

/// Reads until there are `want` bytes, or the file ends.
bool TextBlocks::fill(std::vector<char>& memory, std::size_t& size, std::size_t want) {
  if (memory.size() < want) memory.resize(want);
  while (size < want && !is_at_end_) {
    const std::size_t got = bytes_->read(std::span(memory).subspan(size, want - size));
    size += got;
    is_at_end_ = got == 0;
  }
  return size > 0;
}

/// The line at the front of `out` is longer than may be: keeps its beginning and passes over the rest of it.
bool TextBlocks::cut(OwnedBlock& out, std::size_t size) {
  out.block = {.text = {out.memory.data(), kShownLineBytes}, .lines_before = lines_, .is_cut = true};
  std::vector<char> passed(std::size_t{1} << 16);
  std::size_t length = 0;
  do {
    length = is_at_end_ ? 0 : bytes_->read(passed);
    is_at_end_ = length == 0;
    const std::size_t feed = std::string_view(passed.data(), length).find('\n');
    if (feed == std::string_view::npos) continue;
    rest_.assign(passed.begin() + static_cast<std::ptrdiff_t>(feed) + 1,
                 passed.begin() + static_cast<std::ptrdiff_t>(length));
    break;
  } while (!is_at_end_);
  ++lines_;
  return size > 0;
}

bool TextBlocks::next(OwnedBlock& out) {
  std::size_t size = rest_.size(), want = std::max(block_bytes_, size);
  if (out.memory.size() < want) out.memory.resize(want);
  std::ranges::copy(rest_, out.memory.begin());
  rest_.clear();
  while (true) {
    if (!fill(out.memory, size, want)) return false;
    const std::string_view text(out.memory.data(), size);
    const std::size_t whole = is_at_end_ ? size : format_.whole_rows(text);
    if (whole == 0 && size > kMaxLineBytes && text.find('\n') == std::string_view::npos) return cut(out, size);
    if (whole == 0 && size <= kMaxLineBytes) {
      want = std::min(2 * want, kMaxLineBytes + kBlockBytes);
      continue;
    }
    // Beyond the limit without an end in sight, only a quote can be open: the reader says so.
    const std::size_t length = whole == 0 ? size : whole;
    rest_.assign(out.memory.begin() + static_cast<std::ptrdiff_t>(length),
                 out.memory.begin() + static_cast<std::ptrdiff_t>(size));
    out.block = {.text = text.substr(0, length), .lines_before = lines_, .is_cut = false};
    lines_ += count_byte(out.block.text, '\n');
    return true;
  }
}

}  // namespace swallowtail
