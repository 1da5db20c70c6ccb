// A source of text data: what columns its rows have, and a reader of rows for each file. Rows come raw: checked for
// form (numbers finite, labels 0 or 1), not yet encoded. A new source is one file and one line in source.cpp.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/data/data_options.h"

namespace swallowtail {

/// A feature whose ids a row names by text, or by index where `is_index`.
struct RawFeature {
  std::string name;
  bool is_one_hot = true;  // at most one id a row; none means that the value is missing
  bool is_weighted = false;
  bool is_index = false;
  std::int64_t first_index = 0;           // indices are in [first_index, end_index)
  std::optional<std::int64_t> end_index;  // nothing: as many as the training part names
};

struct RawColumns {
  std::vector<std::string> numbers;
  std::vector<RawFeature> features;
  std::vector<std::string> texts;
  std::string label = "label";
  bool has_weights = false;  // sample weights

  std::size_t number(std::string_view name) const;  // position in `numbers`, which holds it
};

struct RawId {
  std::string_view text;
  std::int64_t index = 0;
  float weight = 1;
};

/// Views are valid until the reader's next call.
struct RawRow {
  std::int64_t line = 0;  // 1-based line on which the row begins
  float label = 0, weight = 1;
  std::vector<std::optional<double>> numbers;  // [columns.numbers], nothing where missing
  std::vector<RawId> ids;                      // of all features, one after another
  std::vector<std::size_t> ends;  // [columns.features]; feature f has ids[ends[f - 1]] … ids[ends[f] - 1]

  std::vector<std::string_view> texts;  // [columns.texts], empty where missing

  std::span<const RawId> feature(std::size_t f) const {
    const std::size_t begin = f == 0 ? 0 : ends[f - 1];
    return std::span(ids).subspan(begin, ends[f] - begin);
  }
  void clear() {
    numbers.clear();
    ids.clear();
    ends.clear();
    texts.clear();
    label = 0;
    weight = 1;
  }
};

/// Why a row is bad. `column` is the 1-based number of the field within its row.
struct BadCell {
  std::int64_t line = 0, column = 0;
  std::string value, reason;
};

class RowReader {
 public:
  virtual ~RowReader() = default;
  enum class Next : std::uint8_t { row, bad, end };
  /// Fills `row` or `bad`. Lines without any character are no rows. Errors: as open_bytes (byte_source.h).
  virtual Next next(RawRow& row, BadCell& bad) = 0;
};

struct Encoding;      // encoding.h
struct EncodedBlock;  // row_blocks.h

/// A part of a file's text that holds whole rows.
struct TextBlock {
  std::string_view text;
  std::int64_t lines_before = 0;  // of the file
  bool is_cut = false;            // the beginning of a line that is longer than kMaxLineBytes, alone
};

/// What the beginning of a file says of its rows, and readers of its parts. Any number of threads may use it at once.
class RowFormat {
 public:
  virtual ~RowFormat() = default;
  /// Where the rows begin: behind the header.
  struct Start {
    std::int64_t bytes = 0, lines = 0;
  };
  virtual Start start() const noexcept { return {}; }
  /// How much of `text`, which begins where a row begins, is whole rows; 0 where not even one is known to have ended.
  virtual std::size_t whole_rows(std::string_view text) const noexcept;
  /// Reads the rows of a block, which outlives the reader.
  virtual std::unique_ptr<RowReader> read(const TextBlock& block) const = 0;
  /// Appends what read() and Encoding::encode give, by a shorter way. False, and nothing done, where there is none.
  virtual bool encode(const TextBlock& /*block*/, const Encoding& /*encoding*/, EncodedBlock& /*out*/) const {
    return false;
  }
};

class Source {
 public:
  virtual ~Source() = default;
  virtual const RawColumns& columns() const noexcept = 0;
  /// Errors: ExitCode::data as open_bytes; ExitCode::usage for a column that the file lacks.
  virtual std::unique_ptr<RowFormat> format(const std::filesystem::path& file) const = 0;
};

struct SourceEntry {
  std::string_view name, meaning;
  std::unique_ptr<Source> (*make)(const DataOptions& options);
};
/// Every text source, by data.source.
std::span<const SourceEntry> sources();

/// Errors: ExitCode::usage for a name that is none of them.
std::unique_ptr<Source> make_source(const DataOptions& options);

std::unique_ptr<Source> make_csv_source(const DataOptions& options);
std::unique_ptr<Source> make_criteo_tsv_source(const DataOptions& options);
std::unique_ptr<Source> make_libfm_source(const DataOptions& options);

/// dense and binned columns without repetition, in that order.
std::vector<std::string> numeric_columns(const DataOptions& options);

}  // namespace swallowtail
