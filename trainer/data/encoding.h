// How raw rows become dense values and ids: learned on the training part (encoding_learner.h), stored as JSON with
// every number in 17 digits, and the same afterwards on every part.
//
// Dense columns, in the order of data.dense, then one indicator `<name>.missing` (1 where missing, else 0) for each
// column of which the training part misses a value, where data.missing_indicator asks for it:
//   none      x; missing: the training mean
//   log       ln(1 + max(x, 0)); missing: 0
//   standard  (x - mean) / standard deviation (population's; 1 where it is 0); missing: 0
//   quantile  2 * r - 1 with r the mid-rank of x among the training values, in (0, 1), linear between at most 1,001
//   stored
//             values, so in (-1, 1); missing: 0
// What a transform makes too large for fp32 is the largest fp32.
//
// Categorical features, in the order data.categorical, data.multi_hot, data.binned:
//   vocabulary  row 0: unknown or rarer than min_count; row 1: missing, where at least min_count training rows of a
//   one-hot
//               column miss it (else missing is row 0); then categories by falling count, equal ones by their bytes
//   hash        buckets > 1: row 0: missing; rows 1 …: keyed hash of the text. One bucket: row 0
//   index       index - first index; where no index space was given, the last row is for indices beyond the training
//   part bins        `<name>.bin`: row 0: missing; row 1 + number of edges <= x
// With data.max_rows ids of all but bins are taken modulo it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/data/batch.h"
#include "trainer/data/source.h"
#include "trainer/data/word_list.h"

namespace swallowtail {

struct DenseColumn {
  std::string name;
  Normalize normalize = Normalize::standard;
  bool has_indicator = false;
  double mean = 0, deviation = 1;
  std::vector<double> knots, ranks;  // quantile: values, rising, and the mid-rank of each

  float encode(std::optional<double> value) const;
};

struct IdColumn {
  enum class Kind : std::uint8_t { vocabulary, hash, index, bins };
  std::string name;  // of the raw feature, or of the number that is binned
  Kind kind = Kind::vocabulary;
  bool is_one_hot = true, is_weighted = false;
  std::int64_t rows = 0;     // of the table, after the modulus
  double mean_ids = 1;       // ids a training sample
  std::int64_t modulus = 0;  // data.max_rows; 0: none
  Vocabulary vocabulary;
  std::int64_t missing_row = 0;  // vocabulary
  std::int64_t buckets = 0;      // hash
  std::uint64_t hash_seed = 0;
  std::int64_t first_index = 0, index_rows = 0;  // index
  bool has_unknown_index = false;
  std::vector<double> edges;  // bins

  std::int64_t row_of(const RawId& id) const;
  std::int64_t row_of_hash(std::uint64_t hash) const;             // hash: of the id's text
  std::int64_t row_of_missing() const;                            // one-hot
  std::int64_t row_of_number(std::optional<double> value) const;  // bins
  std::string feature_name() const { return kind == Kind::bins ? name + ".bin" : name; }
};

/// A sample as the prepared store keeps it.
struct EncodedRow {
  std::vector<float> dense;  // [dense features]
  float label = 0, weight = 1;
  std::vector<std::int64_t> ids;  // of all features, one after another
  std::vector<float> id_weights;  // [ids], or empty where no feature is weighted
  std::vector<std::size_t> ends;  // [features, then texts]
};

/// A column of text: its words as rows of a list, at most `length` of them.
struct WordColumn {
  std::string name;
  std::int64_t length = 64;
  WordList words;
};

/// The same, borrowed.
struct EncodedView {
  std::span<const float> dense;
  float label = 0, weight = 1;
  std::span<const std::int64_t> ids;
  std::span<const float> id_weights;
  std::span<const std::size_t> ends;
};

struct Encoding {
  std::vector<DenseColumn> dense;
  std::vector<IdColumn> features;
  std::vector<WordColumn> texts;
  std::string label = "label";
  bool has_weights = false;
  std::string options;  // encoding_options_text() of the options that it was learned under

  DataShape shape() const;
  /// Requires that `row` has the `columns` of the source that the encoding was learned from.
  void encode(const RawColumns& columns, const RawRow& row, EncodedRow& out) const;

  std::string to_json() const;
  /// Errors: ExitCode::damaged, at `where`, for text that to_json() did not write.
  static Encoding from_json(std::string_view text, const std::string& where);
};

}  // namespace swallowtail
