// The distribution of a numeric column, from a stream of values in bounded memory: exact while there are at most
// `limit` distinct values; beyond that from a sample of the rows, between limit / 2 and `limit` of them, chosen by a
// hash of the row's number (so it does not depend on anything but the rows).
#pragma once

#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

namespace swallowtail {

struct ValueCount {
  double value;
  std::int64_t count;
};

class ValueSample {
 public:
  explicit ValueSample(std::size_t limit = std::size_t{1} << 20) : limit_(limit) {}
  /// value: finite; row: its number, given once.
  void add(double value, std::int64_t row);
  /// Distinct values in rising order with their counts (in the sample, where the limit was passed).
  std::vector<ValueCount> sorted() const;

 private:
  std::size_t limit_;
  std::unordered_map<double, std::int64_t> counts_;  // emptied where the limit is passed
  bool is_exact_ = true;
  std::vector<std::pair<std::uint64_t, double>> sample_;  // (hash of the row, value), hashes below threshold_
  std::uint64_t threshold_ = UINT64_MAX;
};

/// Edges between at most `bins` bins of equal share: x falls into bin "number of edges <= x". The k-th edge is the
/// k / bins quantile with linear interpolation (Hyndman and Fan, type 7), equal edges once. by_distinct counts each
/// value once. Where there are no more values than bins, each value has its own bin.
std::vector<double> bin_edges(const std::vector<ValueCount>& values, std::int64_t bins, bool by_distinct);

/// Whether one value makes up more than half of the rows.
bool has_majority_value(const std::vector<ValueCount>& values);

}  // namespace swallowtail
