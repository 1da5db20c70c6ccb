// `label index[:value] …` between blanks, as libFM and LIBSVM write it; the label is 1, or -1 or 0 for negatives; LF or
// CRLF. All indices form one jagged feature `index`, or, with data.field_starts, one feature `field_<f>` each field
// (a field ends where the next one starts). Values become the ids' weights.
#include <fmt/format.h>

#include <algorithm>

#include "trainer/data/line_reader.h"
#include "trainer/data/parse_number.h"
#include "trainer/data/source.h"

namespace swallowtail {
namespace {

constexpr std::string_view kBlanks = " \t";

class LibfmRows final : public RowReader {
 public:
  LibfmRows(const RawColumns& columns, const std::filesystem::path& file, const TextBlock& block)
      : columns_(columns), lines_(block.text, file, block.lines_before, block.is_cut ? 0 : kMaxLineBytes) {}

  Next next(RawRow& row, BadCell& bad) override {
    do {
      if (!lines_.next(line_)) return Next::end;
    } while (line_.text.find_first_not_of(kBlanks) == std::string_view::npos);
    row.clear();
    row.line = line_.number;
    column_ = 0;
    if (const auto reason = read(row); !reason.empty()) {
      bad = {.line = line_.number, .column = column_, .value = std::string(token_), .reason = reason};
      return Next::bad;
    }
    return Next::row;
  }

 private:
  bool next_token(std::string_view& rest) {
    const std::size_t begin = rest.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos) return false;
    rest.remove_prefix(begin);
    token_ = rest.substr(0, rest.find_first_of(kBlanks));
    rest.remove_prefix(token_.size());
    ++column_;
    return true;
  }

  /// Why the line is bad, with token_ and column_ set; empty where it is good.
  std::string read(RawRow& row) {
    std::string_view rest = line_.text;
    next_token(rest);
    if (line_.is_too_long) return "line longer than 100 MiB";
    double label = 0;
    if (parse_number(token_, label) || (label != 1 && label != -1 && label != 0)) return "label is none of 1, -1, 0";
    row.label = label == 1 ? 1.0F : 0.0F;
    ids_.clear();
    while (next_token(rest)) {
      const std::size_t colon = token_.find(':');
      const auto index_text = token_.substr(0, colon);
      std::int64_t index = 0;
      double value = 1;
      if (const char* reason = parse_integer(index_text, index)) return fmt::format("index is {}", reason);
      if (colon != std::string_view::npos)
        if (const char* reason = parse_number(token_.substr(colon + 1), value))
          return fmt::format("value is {}", reason);
      const auto& first = columns_.features.front();
      const auto& last = columns_.features.back();
      if (index < first.first_index) return fmt::format("index is below {}", first.first_index);
      if (last.end_index && index >= *last.end_index) return fmt::format("index is not below {}", *last.end_index);
      if (index >= kMostRows) return fmt::format("index is not below {}", kMostRows);
      ids_.push_back({.text = index_text, .index = index, .weight = static_cast<float>(value)});
    }
    group_by_field(row);
    return {};
  }

  /// Ids of a field keep their order.
  void group_by_field(RawRow& row) {
    const auto field_of = [&](const RawId& id) {
      const auto after = std::ranges::upper_bound(columns_.features, id.index, {}, &RawFeature::first_index);
      return after - columns_.features.begin() - 1;
    };
    if (!std::ranges::is_sorted(ids_, {}, field_of)) std::ranges::stable_sort(ids_, {}, field_of);  // it allocates
    row.ids = ids_;
    std::size_t end = 0;
    for (std::size_t f = 0; f < columns_.features.size(); ++f) {
      while (end < ids_.size() && static_cast<std::size_t>(field_of(ids_[end])) == f) ++end;
      row.ends.push_back(end);
    }
  }

  static constexpr std::int64_t kMostRows = 1'000'000'000'000;  // beyond it a table's byte counts would leave int64
  const RawColumns& columns_;
  LineReader lines_;
  Line line_;
  std::string_view token_;
  std::int64_t column_ = 0;
  std::vector<RawId> ids_;
};

class LibfmFormat final : public RowFormat {
 public:
  LibfmFormat(const RawColumns& columns, const std::filesystem::path& file) : columns_(columns), path_(file) {}
  std::unique_ptr<RowReader> read(const TextBlock& block) const override {
    return std::make_unique<LibfmRows>(columns_, path_, block);
  }

 private:
  const RawColumns& columns_;
  std::filesystem::path path_;
};

class LibfmSource final : public Source {
 public:
  explicit LibfmSource(const DataOptions& options) {
    if (!options.dense.empty() || !options.categorical.empty() || !options.multi_hot.empty() || !options.binned.empty())
      throw Error{ExitCode::usage, "libfm has no named columns", "data",
                  "leave data.dense, categorical, multi_hot and binned out"};
    const auto& starts = options.field_starts;
    if (starts.empty())
      columns_.features.push_back({.name = "index",
                                   .is_one_hot = false,
                                   .is_weighted = true,
                                   .is_index = true,
                                   .first_index = 0,
                                   .end_index = options.index_space});
    for (std::size_t f = 0; f < starts.size(); ++f)
      columns_.features.push_back(
          {.name = fmt::format("field_{}", f),
           .is_one_hot = false,
           .is_weighted = true,
           .is_index = true,
           .first_index = starts[f],
           .end_index = f + 1 < starts.size() ? std::optional(starts[f + 1]) : options.index_space});
  }
  const RawColumns& columns() const noexcept override { return columns_; }
  std::unique_ptr<RowFormat> format(const std::filesystem::path& file) const override {
    return std::make_unique<LibfmFormat>(columns_, file);
  }

 private:
  RawColumns columns_;
};

}  // namespace

std::unique_ptr<Source> make_libfm_source(const DataOptions& options) { return std::make_unique<LibfmSource>(options); }

}  // namespace swallowtail
