#include "trainer/data/criteo_rows.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string>

#include "kernels/marks.h"
#include "kernels/random.h"
#include "trainer/data/line_reader.h"
#include "trainer/data/parse_number.h"

namespace swallowtail {
namespace {

using namespace criteo;

constexpr std::size_t kHexDigits = 16;

/// Whether each of the eight bytes is a hexadecimal digit: comparisons of all of them at once, in the bit above the
/// seven of ASCII (after Lamport, CACM 1975).
bool is_hex_word(std::uint64_t word) {
  constexpr std::uint64_t ones = 0x0101010101010101U, high = 0x80U * ones;
  const auto at_least = [&](std::uint64_t bytes, unsigned least) { return (bytes | high) - least * ones; };
  const std::uint64_t lower = word | 0x20U * ones;
  const std::uint64_t digit = at_least(word, '0') & ~at_least(word, '9' + 1);
  const std::uint64_t letter = at_least(lower, 'a') & ~at_least(lower, 'f' + 1);
  return ((digit | letter) & ~word & high) == high;
}

bool is_hex(std::string_view text) {
  if (text.size() == 8) {
    std::uint64_t word;
    std::memcpy(&word, text.data(), 8);
    return is_hex_word(word);
  }
  return text.size() <= kHexDigits && text.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
}

/// Most integers are a few digits; the others go the general way, which also says what is wrong with them.
const char* parse_short_integer(std::string_view text, std::int64_t& value) {
  const std::size_t first = text.front() == '-' ? 1 : 0;
  std::int64_t sum = 0;
  bool is_plain = text.size() <= 9 && first < text.size();
  for (std::size_t at = first; is_plain && at < text.size(); ++at) {
    const unsigned digit = static_cast<unsigned char>(text[at]) - unsigned{'0'};
    is_plain = digit < 10;
    sum = sum * 10 + digit;
  }
  if (!is_plain) return parse_integer(text, value);
  value = first == 1 ? -sum : sum;
  return nullptr;
}

/// The lines of a block. The tabs and line feeds of the whole block are found first; a line is then 40 of them that
/// come in the right order.
class CriteoLines {
 public:
  explicit CriteoLines(const TextBlock& block)
      : text_(block.text),
        is_cut_(block.is_cut),
        line_(block.lines_before),
        marks_(std::make_unique_for_overwrite<std::uint32_t[]>(block.text.size() + 8)) {
    count_ = static_cast<std::size_t>(find_marks(text_, '\t', '\n', marks_.get()));
    if (line_ == 0 && text_.starts_with("\xef\xbb\xbf")) at_ = 3;
  }

  std::size_t at_most() const noexcept { return count_ / kFields + 1; }  // good lines

  /// Moves to the next line that is not blank; false at the end. Then reason() says why it has not 40 fields.
  bool next() {
    while (at_ < text_.size()) {
      ++line_;
      const std::size_t begin = at_;
      reason_ = take_fields();
      if (reason_ == nullptr || !is_blank(begin)) return true;
    }
    return false;
  }
  std::int64_t line() const noexcept { return line_; }
  const char* reason() const noexcept { return reason_; }
  std::string_view field(std::size_t number) const {
    return {text_.data() + begins_[number], begins_[number + 1] - 1 - begins_[number]};
  }
  /// Why field `column` of the line is bad.
  BadCell bad(std::size_t column, const char* reason) const {
    return {.line = line_,
            .column = static_cast<std::int64_t>(column) + 1,
            .value = std::string(field(column)),
            .reason = reason};
  }
  BadCell bad() const { return bad(last_, reason_); }

 private:
  bool is_blank(std::size_t begin) const { return begin == end_ || (begin + 1 == end_ && text_[begin] == '\r'); }

  const char* take_fields() {
    std::size_t tabs = 0;
    begins_[0] = at_;
    const std::uint32_t* const marks = marks_.get() + mark_;
    const std::size_t left = count_ - mark_;
    while (tabs < left && tabs < kFields && text_[marks[tabs]] == '\t') {
      begins_[tabs + 1] = marks[tabs] + std::size_t{1};
      ++tabs;
    }
    std::size_t feed = tabs;
    while (feed < left && text_[marks[feed]] == '\t') ++feed;
    const bool has_feed = feed < left;
    end_ = has_feed ? marks[feed] : text_.size();
    at_ = end_ + 1;
    mark_ += std::min(feed + 1, left);
    if (is_cut_ || end_ - begins_[0] > kMaxLineBytes) {
      begins_[1] = std::min(end_, begins_[0] + kShownLineBytes) + 1;
      last_ = 0;
      return "line longer than 100 MiB";
    }
    if (tabs == kFields) {
      last_ = kFields - 1;
      return "more than 40 fields";
    }
    const bool has_return = has_feed && end_ > begins_[tabs] && text_[end_ - 1] == '\r';
    begins_[tabs + 1] = end_ + (has_return ? 0 : 1);
    last_ = tabs;
    return tabs + 1 < kFields ? "fewer than 40 fields" : nullptr;
  }

  std::string_view text_;
  bool is_cut_;
  std::int64_t line_;
  std::unique_ptr<std::uint32_t[]> marks_;         // of tabs and line feeds, and some room behind them
  std::size_t count_ = 0, mark_ = 0;               // of them; the first one of the next line
  std::size_t at_ = 0, end_ = 0;                   // where the next line begins; where this one ends
  std::array<std::size_t, kFields + 1> begins_{};  // field f is text_[begins_[f]] … text_[begins_[f + 1] - 2]
  std::size_t last_ = 0;                           // field that there is
  const char* reason_ = nullptr;
};

/// A line's values, checked. All fields are checked, also those of columns that are not chosen: a shifted line must not
/// pass.
struct CriteoValues {
  float label = 0;
  std::array<std::int64_t, kIntegers> integers{};
  std::array<bool, kIntegers> is_there{};

  /// Why the line is bad, with the field that is; nullptr where it is good.
  const char* read(const CriteoLines& lines, std::size_t& field) {
    field = 0;
    const std::string_view text = lines.field(0);
    if (text.size() != 1 || (text[0] != '0' && text[0] != '1')) return "label is neither 0 nor 1";
    label = text[0] == '1' ? 1.0F : 0.0F;
    for (std::size_t i = 0; i < kIntegers; ++i) {
      const std::string_view number = lines.field(field = 1 + i);
      is_there[i] = !number.empty();
      if (!is_there[i]) continue;
      if (const char* reason = parse_short_integer(number, integers[i])) return reason;
    }
    for (field = 1 + kIntegers; field < kFields; ++field)
      if (!is_hex(lines.field(field))) return "not a category of at most 16 hexadecimal digits";
    return nullptr;
  }
  std::optional<double> number(std::size_t field) const {
    return is_there[field - 1] ? std::optional(static_cast<double>(integers[field - 1])) : std::nullopt;
  }
};

class CriteoRows final : public RowReader {
 public:
  CriteoRows(const CriteoColumns& columns, const TextBlock& block) : columns_(columns), lines_(block) {}

  Next next(RawRow& row, BadCell& bad) override {
    if (!lines_.next()) return Next::end;
    row.clear();
    row.line = lines_.line();
    if (lines_.reason() != nullptr) {
      bad = lines_.bad();
      return Next::bad;
    }
    std::size_t field = 0;
    if (const char* reason = values_.read(lines_, field)) {
      bad = lines_.bad(field, reason);
      return Next::bad;
    }
    row.label = values_.label;
    for (const std::size_t number : columns_.numbers) row.numbers.push_back(values_.number(number));
    for (const std::size_t feature : columns_.features) {
      const std::string_view text = lines_.field(feature);
      if (!text.empty()) row.ids.push_back({.text = text});
      row.ends.push_back(row.ids.size());
    }
    return Next::row;
  }

 private:
  const CriteoColumns& columns_;
  CriteoLines lines_;
  CriteoValues values_;
};

}  // namespace

std::unique_ptr<RowReader> read_criteo(const CriteoColumns& columns, const TextBlock& block) {
  return std::make_unique<CriteoRows>(columns, block);
}

bool encode_criteo(const CriteoColumns& columns, const TextBlock& block, const Encoding& encoding, EncodedBlock& out) {
  if (encoding.features.size() != columns.features.size() || encoding.dense.size() != columns.numbers.size() ||
      std::ranges::any_of(encoding.dense, &DenseColumn::has_indicator))
    return false;
  std::vector<EightByteHash> hashes;
  for (const IdColumn& feature : encoding.features) hashes.emplace_back(feature.hash_seed);
  CriteoLines lines(block);
  CriteoValues values;
  OneHotRows rows(out.rows, lines.at_most(), encoding.dense.size(), encoding.features.size());
  while (lines.next()) {
    std::size_t field = 0;
    const char* const reason = lines.reason() == nullptr ? values.read(lines, field) : nullptr;
    if (lines.reason() != nullptr || reason != nullptr) {
      out.bad.push_back({rows.size(), reason == nullptr ? lines.bad() : lines.bad(field, reason)});
      continue;
    }
    float* const dense = rows.dense();
    for (std::size_t i = 0; i < columns.numbers.size(); ++i)
      dense[i] = encoding.dense[i].encode(values.number(columns.numbers[i]));
    std::int64_t* const ids = rows.ids();
    for (std::size_t f = 0; f < columns.features.size(); ++f) {
      const std::string_view text = lines.field(columns.features[f]);
      const IdColumn& feature = encoding.features[f];
      if (text.size() == 8 && feature.kind == IdColumn::Kind::hash)
        ids[f] = feature.row_of_hash(hashes[f](text));
      else
        ids[f] = text.empty() ? feature.row_of_missing() : feature.row_of({.text = text});
    }
    rows.finish(lines.line(), values.label);
  }
  return true;
}

}  // namespace swallowtail
