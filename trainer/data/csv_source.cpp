// Delimited text with a header. Columns are found by name in every file, so files may order them differently.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "trainer/config/nearest.h"
#include "trainer/data/csv_reader.h"
#include "trainer/data/parse_number.h"
#include "trainer/data/source.h"

namespace swallowtail {
namespace {

struct CsvColumns {
  std::size_t width = 0;  // fields of the header
  std::size_t label = 0;
  std::optional<std::size_t> weight;
  std::vector<std::size_t> numbers, features, texts;  // field of each of RawColumns
};

class CsvRows final : public RowReader {
 public:
  CsvRows(const DataOptions& options, const RawColumns& columns, const CsvColumns& fields, CsvReader reader)
      : options_(options), columns_(columns), fields_(fields), reader_(std::move(reader)) {
    for (const auto& feature : columns.features) features_.push_back(&options.column(feature.name));
  }

  Next next(RawRow& row, BadCell& bad) override {
    do {
      if (!reader_.next(record_)) return Next::end;
    } while (record_.is_blank() && fields_.width > 1);
    bad_ = &bad;
    row.clear();
    row.line = record_.line;
    if (!record_.fault.empty()) return refuse(record_.fault_column, record_.fault_value, record_.fault);
    if (record_.fields.size() != fields_.width) return refuse_count();
    return read_label(row) && read_weight(row) && read_numbers(row) && read_features(row) ? Next::row : Next::bad;
  }

 private:
  /// Points at the first surplus field, or at the last one there is.
  Next refuse_count() {
    const std::size_t column = std::min(record_.fields.size(), fields_.width + 1);
    return refuse(static_cast<std::int64_t>(column), record_.fields[column - 1],
                  fmt::format("{} fields where the header has {}", record_.fields.size(), fields_.width));
  }
  Next refuse(std::int64_t column, std::string_view value, std::string_view reason) {
    *bad_ = {.line = record_.line, .column = column, .value = std::string(value), .reason = std::string(reason)};
    return Next::bad;
  }
  bool refuse_field(std::size_t field, std::string_view reason) {
    refuse(static_cast<std::int64_t>(field) + 1, record_.fields[field], reason);
    return false;
  }
  bool is_missing(std::string_view text) const {
    return std::ranges::find(options_.missing, text) != options_.missing.end();
  }

  bool read_label(RawRow& row) {
    const auto text = record_.fields[fields_.label];
    if (std::ranges::find(options_.positive_labels, text) != options_.positive_labels.end()) {
      row.label = 1;
      return true;
    }
    if (std::ranges::find(options_.negative_labels, text) != options_.negative_labels.end()) return true;
    return refuse_field(fields_.label, "label is in neither data.positive_labels nor data.negative_labels");
  }

  bool read_weight(RawRow& row) {
    if (!fields_.weight) return true;
    double weight = 0;
    if (const char* reason = parse_number(record_.fields[*fields_.weight], weight))
      return refuse_field(*fields_.weight, reason);
    if (weight < 0) return refuse_field(*fields_.weight, "sample weight is negative");
    row.weight = static_cast<float>(weight);
    return true;
  }

  bool read_numbers(RawRow& row) {
    for (const std::size_t field : fields_.numbers) {
      const auto text = record_.fields[field];
      double value = 0;
      if (is_missing(text)) {
        row.numbers.emplace_back();
      } else if (const char* reason = parse_number(text, value)) {
        return refuse_field(field, reason);
      } else {
        row.numbers.emplace_back(value);
      }
    }
    return true;
  }

  bool read_features(RawRow& row) {
    for (std::size_t f = 0; f < fields_.features.size(); ++f) {
      const auto text = record_.fields[fields_.features[f]];
      if (!is_missing(text)) {
        if (columns_.features[f].is_one_hot)
          row.ids.push_back({.text = text});
        else
          split(text, *features_[f], row);
      }
      row.ends.push_back(row.ids.size());
    }
    for (const std::size_t field : fields_.texts)
      row.texts.push_back(is_missing(record_.fields[field]) ? std::string_view() : record_.fields[field]);
    return true;
  }

  /// Nothing stands for no category: empty parts between separators are left out.
  static void split(std::string_view text, const ColumnOptions& options, RawRow& row) {
    for (std::int64_t left = options.max_ids.value_or(INT64_MAX); left > 0 && !text.empty();) {
      const std::size_t stop = text.find(options.separator);
      const auto part = text.substr(0, stop);
      text = stop == std::string_view::npos ? std::string_view{} : text.substr(stop + options.separator.size());
      if (part.empty()) continue;
      row.ids.push_back({.text = part});
      --left;
    }
  }

  const DataOptions& options_;
  const RawColumns& columns_;
  std::vector<const ColumnOptions*> features_;
  const CsvColumns& fields_;
  CsvReader reader_;
  CsvRecord record_;
  BadCell* bad_ = nullptr;
};

class CsvFormat final : public RowFormat {
 public:
  CsvFormat(const DataOptions& options, const RawColumns& columns, const std::filesystem::path& file)
      : options_(options), columns_(columns), path_(file) {
    CsvReader reader(file, options.delimiter);
    read_header(reader);
    delimiter_ = reader.delimiter();
    start_ = {.bytes = reader.position(), .lines = reader.line()};
  }
  Start start() const noexcept override { return start_; }
  std::size_t whole_rows(std::string_view text) const noexcept override { return whole_records(text, delimiter_); }
  std::unique_ptr<RowReader> read(const TextBlock& block) const override {
    return std::make_unique<CsvRows>(options_, columns_, fields_,
                                     CsvReader(block.text, path_, delimiter_, block.lines_before, block.is_cut));
  }

 private:
  void read_header(CsvReader& reader) {
    CsvRecord record;
    if (!reader.next(record))
      throw Error{ExitCode::data, "the file is empty", path_.string(), "a CSV file begins with a header line"};
    if (!record.fault.empty())
      throw Error{ExitCode::data, record.fault, fmt::format("{}:1:{}", path_.string(), record.fault_column),
                  "correct the header line"};
    fields_.width = record.fields.size();
    std::unordered_map<std::string_view, std::size_t> counts;
    for (const auto field : record.fields) ++counts[field];
    const auto find = [&](const std::string& name, std::string_view key) {
      const auto found = counts.find(name);
      if (found == counts.end())
        throw Error{ExitCode::usage, fmt::format("no column '{}' ({}) in the header", name, key),
                    fmt::format("{}:1", path_.string()), did_you_mean(name, record.fields)};
      if (found->second > 1)
        throw Error{ExitCode::usage, fmt::format("{} columns are named '{}' ({})", found->second, name, key),
                    fmt::format("{}:1", path_.string()), "rename all but one of them"};
      return static_cast<std::size_t>(std::ranges::find(record.fields, name) - record.fields.begin());
    };
    fields_.label = find(options_.label, "data.label");
    if (columns_.has_weights) fields_.weight = find(options_.weight, "data.weight");
    for (const auto& name : columns_.numbers)
      fields_.numbers.push_back(find(name, std::ranges::count(options_.dense, name) ? "data.dense" : "data.binned"));
    for (const auto& feature : columns_.features)
      fields_.features.push_back(find(feature.name, feature.is_one_hot ? "data.categorical" : "data.multi_hot"));
    for (const auto& name : columns_.texts) fields_.texts.push_back(find(name, "data.text"));
  }

  const DataOptions& options_;
  const RawColumns& columns_;
  std::filesystem::path path_;
  char delimiter_ = ',';
  Start start_;
  CsvColumns fields_;
};

class CsvSource final : public Source {
 public:
  explicit CsvSource(const DataOptions& options) : options_(options) {
    columns_.numbers = numeric_columns(options);
    for (const auto& name : options.categorical) columns_.features.push_back({.name = name});
    for (const auto& name : options.multi_hot) columns_.features.push_back({.name = name, .is_one_hot = false});
    columns_.texts = options.text;
    columns_.label = options.label;
    columns_.has_weights = !options.weight.empty();
    if (columns_.numbers.empty() && columns_.features.empty() && columns_.texts.empty())
      throw Error{ExitCode::usage, "no column is named as a feature", "data",
                  "set data.dense, data.categorical, data.multi_hot, data.binned or data.text"};
  }
  const RawColumns& columns() const noexcept override { return columns_; }
  std::unique_ptr<RowFormat> format(const std::filesystem::path& file) const override {
    return std::make_unique<CsvFormat>(options_, columns_, file);
  }

 private:
  DataOptions options_;
  RawColumns columns_;
};

}  // namespace

std::unique_ptr<Source> make_csv_source(const DataOptions& options) { return std::make_unique<CsvSource>(options); }

}  // namespace swallowtail
