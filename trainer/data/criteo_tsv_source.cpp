// The raw format of the Criteo Display Advertising Challenge and of the Terabyte logs: no header; label, integers I1 to
// I13, categories C1 to C26 as hexadecimal digits (at most 16), between tabs; an empty field is missing.
// Without data.dense and data.categorical all columns are features. Numbers default to ln(1 + max(x, 0)), a missing one
// to 0. Categories go through a vocabulary or a hash, then modulo data.max_rows.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "trainer/data/csv_reader.h"
#include "trainer/data/parse_number.h"
#include "trainer/data/source.h"

namespace swallowtail {
namespace {

constexpr std::size_t kIntegers = 13, kCategories = 26, kFields = 1 + kIntegers + kCategories;
constexpr std::size_t kHexDigits = 16;

bool is_hex(std::string_view text) {
  return text.size() <= kHexDigits && text.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
}

/// I1 … or C1 …: the field of each chosen column.
std::vector<std::size_t> fields_of(const std::vector<std::string>& names, char letter, std::size_t count,
                                   std::size_t first, std::string_view key) {
  std::vector<std::string> all;
  for (std::size_t i = 1; i <= count; ++i) all.push_back(fmt::format("{}{}", letter, i));
  std::vector<std::size_t> fields;
  for (const auto& name : names) {
    const auto found = std::ranges::find(all, name);
    if (found == all.end())
      throw Error{ExitCode::usage, fmt::format("criteo_tsv has no column '{}'", name), std::string(key),
                  fmt::format("its columns are {0}1 to {0}{1}", letter, count)};
    fields.push_back(first + static_cast<std::size_t>(found - all.begin()));
  }
  return fields;
}

struct Columns {
  std::vector<std::size_t> numbers, features;
};

class CriteoRows final : public RowReader {
 public:
  CriteoRows(const Columns& columns, const std::filesystem::path& file) : columns_(columns), lines_(file) {}

  Next next(RawRow& row, BadCell& bad) override {
    do {
      if (!lines_.next(line_)) return Next::end;
    } while (line_.text.empty());
    row.clear();
    row.line = line_.number;
    bad.line = line_.number;
    if (const char* reason = read(row)) {
      bad.column = static_cast<std::int64_t>(field_) + 1;
      bad.value = fields_[field_];
      bad.reason = reason;
      return Next::bad;
    }
    return Next::row;
  }

 private:
  /// Why the line is bad, with field_ set; nullptr where it is good.
  const char* read(RawRow& row) {
    field_ = 0;
    fields_.fill({});
    if (line_.is_too_long) {
      fields_[0] = line_.text;
      return "line longer than 100 MiB";
    }
    std::string_view rest = line_.text;
    for (std::size_t count = 0;; ++count) {
      const std::size_t tab = rest.find('\t');
      if (count < kFields) fields_[field_ = count] = rest.substr(0, tab);
      if (count == kFields) return "more than 40 fields";
      if (tab == std::string_view::npos) {
        if (count + 1 < kFields) return "fewer than 40 fields";
        break;
      }
      rest.remove_prefix(tab + 1);
    }
    field_ = 0;
    if (fields_[0] != "0" && fields_[0] != "1") return "label is neither 0 nor 1";
    row.label = fields_[0] == "1" ? 1.0F : 0.0F;
    // All fields are checked, also those of columns that are not chosen: a shifted line must not pass.
    std::array<std::optional<double>, kIntegers> integers;
    for (std::size_t i = 0; i < kIntegers; ++i) {
      field_ = 1 + i;
      if (fields_[field_].empty()) continue;
      std::int64_t value = 0;
      if (const char* reason = parse_integer(fields_[field_], value)) return reason;
      integers[i] = static_cast<double>(value);
    }
    for (field_ = 1 + kIntegers; field_ < kFields; ++field_)
      if (!is_hex(fields_[field_])) return "not a category of at most 16 hexadecimal digits";
    for (const std::size_t field : columns_.numbers) row.numbers.push_back(integers[field - 1]);
    for (const std::size_t field : columns_.features) {
      if (!fields_[field].empty()) row.ids.push_back({.text = fields_[field]});
      row.ends.push_back(row.ids.size());
    }
    return nullptr;
  }

  const Columns& columns_;
  LineReader lines_;
  Line line_;
  std::array<std::string_view, kFields> fields_;
  std::size_t field_ = 0;
};

class CriteoSource final : public Source {
 public:
  explicit CriteoSource(const DataOptions& options) {
    if (!options.weight.empty() || !options.multi_hot.empty())
      throw Error{ExitCode::usage, "criteo_tsv has neither sample weights nor multi-hot columns", "data",
                  "leave data.weight and data.multi_hot out"};
    columns_.numbers = numeric_columns(options);
    for (const auto& name : options.categorical) columns_.features.push_back({.name = name});
    fields_.numbers = fields_of(columns_.numbers, 'I', kIntegers, 1, "data.dense");
    fields_.features = fields_of(options.categorical, 'C', kCategories, 1 + kIntegers, "data.categorical");
  }
  const RawColumns& columns() const noexcept override { return columns_; }
  std::unique_ptr<RowReader> open(const std::filesystem::path& file) const override {
    return std::make_unique<CriteoRows>(fields_, file);
  }

 private:
  RawColumns columns_;
  Columns fields_;
};

}  // namespace

std::unique_ptr<Source> make_criteo_tsv_source(const DataOptions& options) {
  return std::make_unique<CriteoSource>(options);
}

}  // namespace swallowtail
