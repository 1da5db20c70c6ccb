#include "trainer/sap/gates.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace swallowtail {
namespace {

constexpr std::array kTried{0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0};
constexpr int kPasses = 3;
constexpr std::int64_t kFewest = 50;  // cold users whose weights are searched
constexpr double kFloor = 1e-4;       // of a weight, so that its logarithm is finite

RowScorer weighted(const std::vector<double>& weights) {
  return [&weights](const PooledRow& row, std::span<float> out) {
    const std::size_t size = out.size();
    std::ranges::fill(out, 0.0F);
    for (std::size_t c = 0; c < weights.size(); ++c) {
      if (weights[c] == 0) continue;
      const float* const z = row.pool.scores.data() + c * size;
      const auto weight = static_cast<float>(weights[c]);
      for (std::size_t place = 0; place < size; ++place) out[place] += weight * z[place];
    }
  };
}

PooledRows of_stratum(const PooledRows& rows, std::int32_t stratum, Communicator& ranks) {
  PooledRows own;
  for (const PooledRow& row : rows.rows)
    if (row.stratum == stratum) own.rows.push_back(row);
  own.all = static_cast<std::int64_t>(own.rows.size());
  ranks.all_reduce_sum(Tag{"rows of a stratum", stratum}, std::span(&own.all, 1));
  return own;
}

float log_weight(double weight) { return static_cast<float>(std::log(weight + kFloor)); }

}  // namespace

Gates::Gates(std::int64_t components, std::int64_t strata)
    : common(static_cast<std::size_t>(components), 0.0F),
      own(static_cast<std::size_t>(components * (strata + 2)), 0.0F),
      shares(static_cast<std::size_t>(strata) + 2, 1.0F),
      components_(components),
      strata_(strata),
      allowed_(static_cast<std::size_t>(strata) + 2, ~std::uint64_t{0}) {}

void Gates::shrink(std::span<const std::int64_t> interactions, double prior) {
  for (std::size_t s = 0; s < interactions.size(); ++s) {
    const auto seen = static_cast<double>(interactions[s]);
    shares[s] = seen > 0 ? static_cast<float>(seen / (seen + prior)) : 0.0F;
  }
}

std::vector<double> Gates::search_weights(const PooledRows& rows, std::uint64_t allowed, std::vector<double> start,
                                          std::int64_t k, Communicator& ranks) const {
  const auto count = static_cast<std::size_t>(components_);
  std::vector<double> alone(count, -1);
  for (std::size_t c = 0; c < count; ++c) {
    if (!(allowed >> c & 1)) continue;
    std::vector<double> weights(count, 0.0);
    weights[c] = 1;
    alone[c] = pooled_ndcg(rows, weighted(weights), k, ranks);
  }
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t c) { return alone[c]; });
  std::vector<double> best = std::move(start);
  double reached = -1;
  if (best.empty()) {
    best.assign(count, 0.0);
    best[order[0]] = 1;
  }
  reached = pooled_ndcg(rows, weighted(best), k, ranks);
  for (int pass = 0; pass < kPasses; ++pass) {
    const double before = reached;
    for (const std::size_t c : order) {
      if (!(allowed >> c & 1) || c == order[0]) continue;
      std::vector<double> tried = best;
      for (const double weight : kTried) {
        tried[c] = weight;
        const double value = pooled_ndcg(rows, weighted(tried), k, ranks);
        if (value > reached) {
          reached = value;
          best[c] = weight;
        }
      }
    }
    if (reached == before) break;
  }
  return best;
}

void Gates::search(const PooledRows& rows, std::int64_t k, Communicator& ranks) {
  std::uint64_t any = 0;
  for (std::int64_t s = 0; s <= strata_; ++s) any |= allowed_[s];
  const std::vector<double> together = search_weights(rows, any, {}, k, ranks);
  for (std::size_t c = 0; c < together.size(); ++c) common[c] = log_weight(together[c]);
  for (std::int64_t s = 0; s <= strata_; ++s) {
    const PooledRows own_rows = of_stratum(rows, static_cast<std::int32_t>(s < strata_ ? s : kColdStratum), ranks);
    if (s == strata_) knows_cold_ = own_rows.all >= kFewest;
    if (own_rows.all < (s == strata_ ? kFewest : 1)) continue;
    std::vector<double> start = together;
    for (std::size_t c = 0; c < start.size(); ++c)
      if (!(allowed_[s] >> c & 1)) start[c] = 0;
    if (std::ranges::all_of(start, [](double weight) { return weight == 0; })) start.clear();
    const std::vector<double> weights = search_weights(own_rows, allowed_[s], start, k, ranks);
    for (std::size_t c = 0; c < weights.size(); ++c)
      own[static_cast<std::size_t>(s * components_) + c] = log_weight(weights[c]) - common[c];
  }
}

void Gates::set_new(std::span<const std::size_t> order) {
  std::vector<double> weights(static_cast<std::size_t>(components_), 0.0);
  double weight = 1;
  for (const std::size_t c : order) {
    weights[c] = weight;
    weight /= 10;
  }
  for (const std::int32_t stratum : {kColdStratum, kNewStratum}) {
    if (stratum == kColdStratum && knows_cold_) continue;
    for (std::size_t c = 0; c < weights.size(); ++c)
      own[row_of(stratum) * weights.size() + c] = log_weight(weights[c]) - common[c];
  }
}

void Gates::set_equal() {
  std::ranges::fill(common, 0.0F);
  std::ranges::fill(own, 0.0F);
}

std::vector<double> Gates::of(std::int32_t stratum) const {
  const std::size_t s = row_of(stratum);
  std::vector<double> gate(static_cast<std::size_t>(components_));
  double sum = 0;
  for (std::size_t c = 0; c < gate.size(); ++c) {
    gate[c] = std::exp(static_cast<double>(common[c]) +
                       static_cast<double>(shares[s]) * own[s * static_cast<std::size_t>(components_) + c]);
    sum += gate[c];
  }
  for (double& weight : gate) weight /= sum;
  return gate;
}

}  // namespace swallowtail
