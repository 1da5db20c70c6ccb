#include "trainer/data/value_sample.h"

#include <algorithm>
#include <cmath>

#include "kernels/random.h"

namespace swallowtail {

void ValueSample::add(double value, std::int64_t row) {
  if (is_exact_) {
    ++counts_[value + 0.0];  // -0 and 0 are one value
    if (counts_.size() > limit_) {
      is_exact_ = false;
      counts_ = {};
    }
  }
  const std::uint64_t hash = random::bits(0, random::purpose("value sample"), static_cast<std::uint64_t>(row));
  if (hash >= threshold_) return;
  sample_.emplace_back(hash, value + 0.0);
  if (sample_.size() <= limit_) return;
  threshold_ /= 2;
  std::erase_if(sample_, [&](const auto& kept) { return kept.first >= threshold_; });
}

std::vector<ValueCount> ValueSample::sorted() const {
  std::vector<ValueCount> values;
  if (is_exact_)
    for (const auto& [value, count] : counts_) values.push_back({value, count});
  else
    for (const auto& kept : sample_) values.push_back({kept.second, 1});
  std::ranges::sort(values, {}, &ValueCount::value);
  std::size_t last = 0;  // equal neighbours of the sample become one
  for (std::size_t i = 1; i < values.size(); ++i)
    if (values[i].value == values[last].value)
      values[last].count += values[i].count;
    else
      values[++last] = values[i];
  if (!values.empty()) values.resize(last + 1);
  return values;
}

std::vector<double> bin_edges(const std::vector<ValueCount>& values, std::int64_t bins, bool by_distinct) {
  std::vector<double> edges;
  if (static_cast<std::int64_t>(values.size()) <= bins) {
    for (std::size_t i = 1; i < values.size(); ++i) edges.push_back(values[i].value);
    return edges;
  }
  std::vector<std::int64_t> ends(values.size());  // value i fills the sorted positions [ends[i - 1], ends[i])
  std::int64_t total = 0;
  for (std::size_t i = 0; i < values.size(); ++i) ends[i] = total += by_distinct ? 1 : values[i].count;
  const auto at = [&](std::int64_t position) {
    return values[static_cast<std::size_t>(std::ranges::upper_bound(ends, position) - ends.begin())].value;
  };
  for (std::int64_t k = 1; k < bins; ++k) {
    const double position = static_cast<double>(k) / static_cast<double>(bins) * static_cast<double>(total - 1);
    const auto below = static_cast<std::int64_t>(std::floor(position));
    const double low = at(below), high = at(std::min(below + 1, total - 1));
    edges.push_back(low + (high - low) * (position - static_cast<double>(below)));
  }
  edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
  if (edges.front() <= values.front().value) edges.erase(edges.begin());  // nothing lies below it
  return edges;
}

bool has_majority_value(const std::vector<ValueCount>& values) {
  std::int64_t total = 0, most = 0;
  for (const auto& value : values) {
    total += value.count;
    most = std::max(most, value.count);
  }
  return 2 * most > total;
}

}  // namespace swallowtail
