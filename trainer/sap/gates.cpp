#include "trainer/sap/gates.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "trainer/sap/weight_search.h"

namespace swallowtail {
namespace {

constexpr std::int64_t kFewest = 50;  // cold users whose weights are searched
constexpr double kFloor = 1e-4;       // of a weight, so that its logarithm is finite

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

std::vector<double> prior_choices(std::span<const std::int64_t> interactions) {
  const double infinite = std::numeric_limits<double>::infinity();
  const auto strata = std::ranges::count_if(interactions, [](std::int64_t taken) { return taken > 0; });
  if (strata < 2) return {infinite};
  const double mean =
      static_cast<double>(std::reduce(interactions.begin(), interactions.end())) / static_cast<double>(strata);
  return {infinite, 4 * mean, mean, mean / 4};
}

Gates::Gates(std::int64_t components, std::int64_t strata)
    : common(static_cast<std::size_t>(components), 0.0F),
      own(static_cast<std::size_t>(components * (strata + 2)), 0.0F),
      shares(static_cast<std::size_t>(strata) + 2, 1.0F),
      used(own.size(), 1.0F),
      components_(components),
      strata_(strata) {}

void Gates::allow(std::span<const std::uint64_t> masks) {
  const auto count = static_cast<std::size_t>(components_);
  for (std::size_t i = 0; i < used.size(); ++i) used[i] = masks[i / count] >> i % count & 1 ? 1.0F : 0.0F;
}

void Gates::keep(std::uint64_t components) {
  std::vector<std::uint64_t> masks;
  for (std::int64_t s = 0; s < strata_; ++s) {
    const std::uint64_t before = mask(static_cast<std::int32_t>(s)), left = before & components;
    masks.push_back(left != 0 ? left : before);
  }
  masks.push_back(mask(kColdStratum));
  masks.push_back(mask(kNewStratum));
  allow(masks);
}

void Gates::shrink(std::span<const std::int64_t> interactions, double prior) {
  for (std::size_t s = 0; s < interactions.size(); ++s) {
    const auto seen = static_cast<double>(interactions[s]);
    shares[s] = seen > 0 ? static_cast<float>(seen / (seen + prior)) : 0.0F;
  }
}

std::vector<double> Gates::search_common(const PooledRows& rows, std::int64_t k, Communicator& ranks) {
  std::vector<double> together = search_weights(rows, components_, mask_of_strata(), {}, k, ranks);
  for (std::size_t c = 0; c < together.size(); ++c) common[c] = log_weight(together[c]);
  return together;
}

void Gates::search(const PooledRows& rows, std::int64_t k, Communicator& ranks) {
  const std::vector<double> together = search_common(rows, k, ranks);
  for (std::int64_t s = 0; s <= strata_; ++s) {
    const auto stratum = s < strata_ ? static_cast<std::int32_t>(s) : kColdStratum;
    const std::uint64_t allowed = mask(stratum);
    const PooledRows own_rows = of_stratum(rows, stratum, ranks);
    if (s == strata_) knows_cold_ = own_rows.all >= kFewest;
    if (own_rows.all < (s == strata_ ? kFewest : 1)) continue;
    std::vector<double> start = together;
    for (std::size_t c = 0; c < start.size(); ++c)
      if (!(allowed >> c & 1)) start[c] = 0;
    if (std::ranges::all_of(start, [](double weight) { return weight == 0; })) start.clear();
    const std::vector<double> weights = search_weights(own_rows, components_, allowed, start, k, ranks);
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
    if (used[s * gate.size() + c] == 0) continue;
    gate[c] = std::exp(static_cast<double>(common[c]) +
                       static_cast<double>(shares[s]) * own[s * static_cast<std::size_t>(components_) + c]);
    sum += gate[c];
  }
  for (double& weight : gate) weight /= sum;
  return gate;
}

std::uint64_t Gates::mask(std::int32_t stratum) const {
  const auto count = static_cast<std::size_t>(components_);
  std::uint64_t bits = 0;
  for (std::size_t c = 0; c < count; ++c)
    if (used[row_of(stratum) * count + c] != 0) bits |= std::uint64_t{1} << c;
  return bits;
}

std::uint64_t Gates::mask_of_strata() const {
  std::uint64_t bits = 0;
  for (std::int64_t s = 0; s < strata_; ++s) bits |= mask(static_cast<std::int32_t>(s));
  return bits;
}

}  // namespace swallowtail
