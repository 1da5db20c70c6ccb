// Learns an encoding from the rows of the training part, in one pass. Memory: by distinct categories, and at most
// about 64 MB a number that is binned or ranked (value_sample.h); not by rows.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "trainer/data/encoding.h"
#include "trainer/data/value_sample.h"

namespace swallowtail {

class EncodingLearner {
 public:
  EncodingLearner(const DataOptions& options, const RawColumns& columns);
  void add(const RawRow& row);
  std::int64_t rows() const noexcept { return rows_; }
  /// Call once, after at least one row.
  Encoding finish();

 private:
  struct NumberStatistics {
    std::int64_t count = 0, missing = 0;
    double mean = 0, squares = 0;  // squares: of the distances from the mean (Welford, Technometrics 1962)
    bool is_sampled = false;
    ValueSample values;
  };
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };
  using Counts = std::unordered_map<std::string, std::int64_t, TextHash, std::equal_to<>>;
  struct FeatureStatistics {
    std::int64_t ids = 0, missing = 0, largest_index = -1;
    bool is_vocabulary = false;
    Counts counts;
  };

  DenseColumn dense_column(std::size_t number) const;
  IdColumn binned_column(const std::string& name) const;
  IdColumn id_column(std::size_t feature);

  const DataOptions& options_;
  const RawColumns& columns_;
  std::vector<NumberStatistics> numbers_;
  std::vector<FeatureStatistics> features_;
  std::vector<WordCounter> texts_;
  std::int64_t rows_ = 0;
};

/// At most 1,001 values and their mid-ranks in (0, 1): all of them where there are no more, else those nearest to
/// equally spaced ranks, the least and the largest included.
void rank_knots(const std::vector<ValueCount>& values, std::vector<double>& knots, std::vector<double>& ranks);

}  // namespace swallowtail
