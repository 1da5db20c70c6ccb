// What data.* says, as plain values that the sources and the encoding read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "trainer/config/experiment.h"
#include "trainer/data/folds.h"
#include "trainer/data/sample_order.h"

namespace swallowtail {

enum class Normalize : std::uint8_t { none, log, standard, quantile };
enum class BinBy : std::uint8_t { automatic, values, distinct };
enum class IdEncoding : std::uint8_t { vocabulary, hash };

struct ColumnOptions {
  Normalize normalize = Normalize::standard;
  std::int64_t bins = 48;
  BinBy bin_by = BinBy::automatic;
  IdEncoding encoding = IdEncoding::vocabulary;
  std::int64_t min_count = 1;
  std::int64_t hash_buckets = 100000;
  std::string separator = "|";
  std::optional<std::int64_t> max_ids;
};

/// How texts become words (word_list.h).
struct WordOptions {
  std::int64_t min_count = 2;
  std::int64_t most = 50000;  // words with a row of their own
  std::int64_t length = 64;   // words of a text that are read
};

struct DataOptions {
  std::string source = "csv";
  std::vector<std::filesystem::path> train, validation, test;  // paths or globs
  double split_validation = 0, split_test = 0;                 // shares of the rows of `train`
  bool is_split_in_order = false;                              // else at random by `seed`
  char delimiter = '\0';                                       // 0: found from the header
  std::string label = "label", weight;                         // weight: empty where there is none
  std::vector<std::string> positive_labels{"1"}, negative_labels{"0"};
  std::vector<std::string> dense, categorical, multi_hot, binned, text, missing{"", "?"};
  WordOptions words;
  bool has_missing_indicator = true;
  ColumnOptions defaults;
  std::map<std::string, ColumnOptions> columns;
  std::uint64_t hash_seed = 0, seed = 1;
  std::optional<std::int64_t> max_rows, index_space;
  std::vector<std::int64_t> field_starts;
  bool is_quarantine = true;  // else the first bad row is an error
  double max_bad_fraction = 0.01;
  FoldOptions folds;  // off unless evaluation.fold holds one out

  const ColumnOptions& column(const std::string& name) const {
    const auto found = columns.find(name);
    return found == columns.end() ? defaults : found->second;
  }
};

/// Errors: ExitCode::usage at the key's place for columns named twice, a label that is also a feature, an option of a
/// column that no list names, shares that leave nothing to train on.
DataOptions data_options(const Experiment& experiment);

/// data.text_*.
WordOptions word_options(const Experiment& experiment);

ShuffleOptions shuffle_options(const Experiment& experiment);

/// The options that decide how a row becomes numbers and ids, as one line of JSON; equal text, equal encoding.
std::string encoding_options_text(const DataOptions& options);

}  // namespace swallowtail
