#include "trainer/data/criteo_rows.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>

#include "kernels/marks.h"
#include "trainer/data/line_reader.h"
#include "trainer/data/parse_number.h"

namespace swallowtail {
namespace {

using namespace criteo;

constexpr std::size_t kHexDigits = 16;

bool is_hex(std::string_view text) {
  if (text.size() > kHexDigits) return false;
  bool all = true;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    all &= (byte - unsigned{'0'} < 10) | ((byte | 0x20U) - 'a' < 6);  // no branch between digits and letters
  }
  return all;
}

/// Where a text's tabs and line feeds are (marks.h), in memory that the next text uses again.
struct LineMarks {
  void find(std::string_view text) {
    if (room < text.size() + 16) {
      room = text.size() + 16;
      marks = std::make_unique_for_overwrite<std::uint32_t[]>(room);
      feeds = std::make_unique_for_overwrite<std::uint32_t[]>(room);
    }
    const MarkCounts counts = find_marks(text, '\t', marks.get(), feeds.get());
    mark_count = static_cast<std::size_t>(counts.marks);
    feed_count = static_cast<std::size_t>(counts.feeds);
  }
  std::unique_ptr<std::uint32_t[]> marks, feeds;
  std::size_t mark_count = 0, feed_count = 0, room = 0;
};

/// The lines of a block. The tabs and line feeds of the whole block are found first; a line is then 40 of them that
/// come in the right order.
class CriteoLines {
 public:
  /// `marks` is this object's as long as it lives.
  CriteoLines(const TextBlock& block, LineMarks& marks)
      : text_(block.text), is_cut_(block.is_cut), line_(block.lines_before), marks_(marks) {
    marks_.find(text_);
    if (line_ == 0 && text_.starts_with("\xef\xbb\xbf")) at_ = 3;
  }

  std::size_t at_most() const noexcept { return marks_.mark_count / kFields + 1; }  // good lines

  /// The next lines, where they are enough for a group and each has 40 fields and a line feed.
  std::optional<CriteoText> group() const {
    if (is_cut_ || feed_ + kGroup > marks_.feed_count) return {};
    for (std::size_t line = 0; line < kGroup; ++line)
      if (marks_.feeds[feed_ + line] != mark_ + (line + 1) * kFields) return {};
    if (marks_.marks[mark_ + kGroup * kFields - 1] + std::size_t{8} >= text_.size()) return {};
    return CriteoText{text_.data(), static_cast<std::uint32_t>(at_), marks_.marks.get() + mark_};
  }
  /// Behind them; line() is then the last of them.
  void pass_group() {
    mark_ += kGroup * kFields;
    feed_ += kGroup;
    line_ += kGroup;
    at_ = marks_.marks[mark_ - 1] + std::size_t{1};
  }

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
    const bool has_feed = feed_ < marks_.feed_count;
    const std::uint32_t* const marks = marks_.marks.get() + mark_;
    const std::size_t all_tabs = (has_feed ? marks_.feeds[feed_] - 1 : marks_.mark_count) - mark_;
    const std::size_t tabs = std::min(all_tabs, kFields);
    begins_[0] = at_;
    for (std::size_t tab = 0; tab < tabs; ++tab) begins_[tab + 1] = marks[tab] + std::size_t{1};
    end_ = has_feed ? marks[all_tabs] : text_.size();
    at_ = end_ + 1;
    mark_ += all_tabs + (has_feed ? 1 : 0);
    feed_ += has_feed ? 1 : 0;
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
  LineMarks& marks_;
  std::size_t mark_ = 0, feed_ = 0;                // the first ones of the next line
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
      if (const char* reason = parse_integer(number, integers[i])) return reason;
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
  CriteoRows(const CriteoColumns& columns, const TextBlock& block) : columns_(columns), lines_(block, marks_) {}

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
  LineMarks marks_;
  CriteoLines lines_;
  CriteoValues values_;
};

/// What Normalize::log makes of 0, 1, … and, behind them, of a missing value.
constexpr std::size_t kKnownLogs = 1024;
const std::array<float, kKnownLogs + 1>& known_logs() {
  static const auto logs = [] {
    const DenseColumn column{.normalize = Normalize::log};
    std::array<float, kKnownLogs + 1> all{};
    for (std::size_t k = 0; k < kKnownLogs; ++k) all[k] = column.encode(static_cast<double>(k));
    all[kKnownLogs] = column.encode({});
    return all;
  }();
  return logs;
}

/// Encodes lines a group at a time.
class GroupEncoder {
 public:
  GroupEncoder(const CriteoColumns& columns, const Encoding& encoding) : columns_(columns), encoding_(encoding) {
    hashes_.modulus.fill(1);  // of the columns that nobody chose
    for (std::size_t f = 0; f < columns.features.size(); ++f) {
      const IdColumn& feature = encoding.features[f];
      const std::size_t category = columns.features[f] - 1 - kIntegers;
      is_in_order_ = is_in_order_ && category == f;
      if (feature.kind == IdColumn::Kind::hash)
        set_hash(category, feature);
      else
        by_text_.push_back(f);
    }
    is_in_order_ = is_in_order_ && columns.features.size() == kCategories;
  }
  /// The kernel counts in 32 bits.
  static bool takes(const IdColumn& feature) { return feature.buckets < most32 && feature.modulus < most32; }

  /// False where a line is not as usual, else all of them are in `rows`.
  bool encode(const CriteoText& text, std::int64_t lines_before, OneHotRows& rows) {
    if (!decode_criteo(text, hashes_, group_, is_in_order_ ? rows.ids() : ids_.data())) return false;
    encode_integers(rows.dense());
    const std::size_t features = columns_.features.size();
    for (std::size_t line = 0; line < kGroup && !is_in_order_; ++line)
      for (std::size_t f = 0; f < features; ++f)
        rows.ids()[line * features + f] = ids_[line * kCategories + columns_.features[f] - 1 - kIntegers];
    for (std::size_t line = 0; line < kGroup; ++line)
      for (const std::size_t f : by_text_) {
        const std::uint32_t* const mark = text.marks + line * kFields + columns_.features[f];
        const std::size_t begin = mark[-1] + std::size_t{1};
        // Nothing or eight digits; the last column's may have a carriage return behind them.
        const std::string_view category(text.text + begin, (*mark - begin) / 8 * 8);
        const IdColumn& feature = encoding_.features[f];
        rows.ids()[line * features + f] =
            category.empty() ? feature.row_of_missing() : feature.row_of({.text = category});
      }
    for (std::size_t line = 0; line < kGroup; ++line)
      rows.finish(lines_before + 1 + static_cast<std::int64_t>(line), group_.labels[line]);
    return true;
  }

 private:
  static constexpr std::int64_t most32 = std::int64_t{1} << 32;

  void set_hash(std::size_t category, const IdColumn& feature) {
    const auto modulus = static_cast<std::uint64_t>(feature.modulus > 0 ? feature.modulus : most32 - 1);
    hashes_.has_modulus = hashes_.has_modulus || feature.modulus > 0;
    for (std::size_t at = category; at < CriteoHashes::kSize; at += kCategories) {
      hashes_.start[at] = hash_start(feature.hash_seed, 8);
      hashes_.range[at] = static_cast<std::uint64_t>(std::max<std::int64_t>(1, feature.buckets) - 1);
      hashes_.first[at] = feature.buckets < 2 ? 0 : 1;
      hashes_.missing[at] = static_cast<std::uint64_t>(feature.row_of_missing());
      hashes_.modulus[at] = modulus;
      hashes_.reciprocal[at] = ~std::uint64_t{0} / modulus + 1;
    }
  }

  void encode_integers(float* dense) {
    std::array<std::int32_t, kGroup * kIntegers> places;  // among the known logarithms
    for (std::size_t i = 0; i < places.size(); ++i)
      places[i] = group_.integers[i] == kMissing ? std::int32_t{kKnownLogs} : std::max(group_.integers[i], 0);
    const float* const logs = known_logs().data();
    for (std::size_t line = 0; line < kGroup; ++line)
      for (std::size_t i = 0; i < columns_.numbers.size(); ++i) {
        const std::size_t at = line * kIntegers + columns_.numbers[i] - 1;
        const DenseColumn& column = encoding_.dense[i];
        const std::int32_t value = group_.integers[at];
        *dense++ = column.normalize == Normalize::log && places[at] <= std::int32_t{kKnownLogs}
                       ? logs[places[at]]
                       : column.encode(value == kMissing ? std::nullopt : std::optional<double>(value));
      }
  }

  const CriteoColumns& columns_;
  const Encoding& encoding_;
  CriteoHashes hashes_{};
  CriteoGroup group_{};
  std::array<std::int64_t, CriteoHashes::kSize> ids_{};
  std::vector<std::size_t> by_text_;  // features whose ids the kernel does not know
  bool is_in_order_ = true;           // the features are all categories, as they stand
};

}  // namespace

std::unique_ptr<RowReader> read_criteo(const CriteoColumns& columns, const TextBlock& block) {
  return std::make_unique<CriteoRows>(columns, block);
}

bool encode_criteo(const CriteoColumns& columns, const TextBlock& block, const Encoding& encoding, EncodedBlock& out) {
  if (encoding.features.size() != columns.features.size() || encoding.dense.size() != columns.numbers.size() ||
      std::ranges::any_of(encoding.dense, &DenseColumn::has_indicator) ||
      !std::ranges::all_of(encoding.features, GroupEncoder::takes))
    return false;
  // Where groups are refused one after another, lines are read one by one for longer and longer before the next try.
  constexpr std::size_t kMostAlone = 128 * kGroup;
  thread_local LineMarks marks;
  CriteoLines lines(block, marks);
  CriteoValues values;
  GroupEncoder groups(columns, encoding);
  OneHotRows rows(out.rows, lines.at_most(), encoding.dense.size(), encoding.features.size());
  for (std::size_t alone = 0, alone_next = kGroup;;) {
    if (alone == 0) {
      const auto group = lines.group();
      if (group && groups.encode(*group, lines.line(), rows)) {
        lines.pass_group();
        alone_next = kGroup;
        continue;
      }
      alone = alone_next;
      alone_next = std::min(2 * alone_next, kMostAlone);
    }
    if (!lines.next()) return true;
    --alone;
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
      ids[f] = text.empty() ? feature.row_of_missing() : feature.row_of({.text = text});
    }
    rows.finish(lines.line(), values.label);
  }
}

}  // namespace swallowtail
