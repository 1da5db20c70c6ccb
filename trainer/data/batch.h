// A batch: some samples of a dataset in the order asked for, checked and encoded. Ids are in [0, rows) of their
// feature, dense values and weights are finite, offsets are monotone: checked where samples are made, trusted
// afterwards.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace swallowtail {

/// Ids of one feature for B samples; bag b is values[offsets[b]] … values[offsets[b + 1] - 1].
struct JaggedIds {
  std::vector<std::int64_t> values;   // [N]
  std::vector<std::int64_t> offsets;  // [B + 1], offsets[0] == 0
  std::vector<float> weights;         // [N], or empty: every id weighs 1
};

struct Batch {
  std::int64_t size = 0;         // B
  std::vector<float> dense;      // [B, dense features], row-major
  std::vector<JaggedIds> ids;    // one a categorical feature
  std::vector<JaggedIds> texts;  // one a text column: rows of its word list, in the text's order
  std::vector<float> labels;     // [B, labels]
  std::vector<float> weights;    // [B] sample weights, or empty: every sample weighs 1
  std::vector<std::int64_t>
      samples;  // [B] index of each sample within its dataset (names a sample in messages and files)
};

/// What a dataset's samples look like; the model is built from it.
struct CategoricalFeature {
  std::string name;
  std::int64_t rows = 0;  // ids are in [0, rows)
  std::int64_t dim = 0;   // width of its table where the data name one, else 0
  double mean_ids = 1;    // ids a sample, for memory bills and plans
  double zipf = 0;        // exponent of the ids' distribution over rows where it is known, for plans
  bool weighted = false;  // ids carry weights
};
struct TextColumn {
  std::string name;
  std::int64_t rows = 0;  // of its word list; words are in [1, rows), 0 is the pad
};
struct DataShape {
  std::vector<std::string> dense;  // names of the dense columns, missing indicators included
  std::vector<CategoricalFeature> categorical;
  std::vector<TextColumn> texts;
  std::vector<std::string> labels;  // one for a click model
};

}  // namespace swallowtail
