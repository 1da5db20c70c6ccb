#include "trainer/evaluation/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/random.h"
#include "trainer/evaluation/compensated_sum.h"

namespace swallowtail {
namespace {

constexpr auto kBootstrap = random::purpose("bootstrap");
constexpr auto kFlip = random::purpose("sign flip");

double mean_of(std::span<const double> units) {
  CompensatedSum sum;
  for (const double unit : units) sum.add(unit);
  return sum.value() / static_cast<double>(units.size());
}

/// By linear interpolation between the order statistics; `sorted` rises.
double percentile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(place));
  if (below + 1 >= sorted.size()) return sorted.back();
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[below + 1] - sorted[below]);
}

/// NaN among the resamples are left out.
Interval interval_of(double value, std::vector<double> resamples, double confidence) {
  std::erase_if(resamples, [](double one) { return std::isnan(one); });
  if (resamples.empty()) return {value, value, value};
  std::ranges::sort(resamples);
  return {value, percentile(resamples, (1 - confidence) / 2), percentile(resamples, (1 + confidence) / 2)};
}

std::int64_t unit_of(const ResampleOptions& options, std::int64_t resample, std::int64_t place, std::int64_t units) {
  return random::below(
      random::bits(options.seed, kBootstrap, static_cast<std::uint64_t>(resample), static_cast<std::uint64_t>(place)),
      units);
}

/// statistic(counts) of every resample.
template <typename Statistic>
std::vector<double> resampled(std::int64_t units, const ResampleOptions& options, Statistic statistic) {
  std::vector<double> values(static_cast<std::size_t>(options.resamples));
#pragma omp parallel
  {
    std::vector<std::int32_t> counts(static_cast<std::size_t>(units));
#pragma omp for schedule(static)
    for (std::int64_t r = 0; r < options.resamples; ++r) {
      std::ranges::fill(counts, 0);
      for (std::int64_t i = 0; i < units; ++i) ++counts[unit_of(options, r, i, units)];
      values[r] = statistic(counts);
    }
  }
  return values;
}

std::vector<double> resampled_means(std::span<const double> units, const ResampleOptions& options) {
  return resampled(std::ssize(units), options, [&](std::span<const std::int32_t> counts) {
    CompensatedSum sum;
    for (std::size_t i = 0; i < units.size(); ++i) sum.add(counts[i] * units[i]);
    return sum.value() / static_cast<double>(units.size());
  });
}

}  // namespace

Interval bootstrap_mean(std::span<const double> units, const ResampleOptions& options) {
  return interval_of(mean_of(units), resampled_means(units, options), options.confidence);
}

Comparison compare_means(std::span<const double> a, std::span<const double> b, const ResampleOptions& options) {
  std::vector<double> differences(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) differences[i] = b[i] - a[i];
  Comparison result{bootstrap_mean(differences, options), 1};
  // Flipped means that equal the true one up to rounding are as far from 0.
  const double bar = std::abs(result.difference.value) * (1 - 1e-12);
  std::int64_t as_far = 0;
#pragma omp parallel for schedule(static) reduction(+ : as_far)
  for (std::int64_t r = 0; r < options.resamples; ++r) {
    CompensatedSum sum;
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < differences.size(); ++i) {
      if (i % 64 == 0) bits = random::bits(options.seed, kFlip, static_cast<std::uint64_t>(r), i / 64);
      sum.add((bits >> (i % 64) & 1) != 0 ? -differences[i] : differences[i]);
    }
    as_far += std::abs(sum.value() / static_cast<double>(differences.size())) >= bar ? 1 : 0;
  }
  result.p = static_cast<double>(1 + as_far) / static_cast<double>(1 + options.resamples);
  return result;
}

AucOfSeeds::AucOfSeeds(std::span<const float> labels, const std::vector<std::vector<double>>& probabilities) {
  for (const float label : labels) is_positive_.push_back(label > 0.5F ? 1 : 0);
  for (const auto& of_seed : probabilities) {
    Seed& seed = seeds_.emplace_back();
    seed.order.resize(of_seed.size());
    std::iota(seed.order.begin(), seed.order.end(), std::int64_t{0});
    std::ranges::stable_sort(seed.order, {}, [&](std::int64_t unit) { return of_seed[unit]; });
    for (std::size_t i = 0; i < of_seed.size(); ++i)
      seed.is_new.push_back(i == 0 || of_seed[seed.order[i]] != of_seed[seed.order[i - 1]] ? 1 : 0);
  }
}

double AucOfSeeds::value(std::span<const std::int32_t> counts) const {
  double sum = 0;
  for (const Seed& seed : seeds_) {
    // Pairs in the right order count 2, pairs of one probability 1: whole numbers, exact up to 2^53.
    double pairs = 0, positives = 0, negatives = 0, same_positives = 0, same_negatives = 0;
    const auto close = [&] {
      pairs += same_positives * (2 * negatives + same_negatives);
      positives += same_positives;
      negatives += same_negatives;
      same_positives = same_negatives = 0;
    };
    for (std::size_t i = 0; i < seed.order.size(); ++i) {
      if (seed.is_new[i] != 0) close();
      const std::int64_t unit = seed.order[i];
      (is_positive_[unit] != 0 ? same_positives : same_negatives) += counts[unit];
    }
    close();
    if (positives == 0 || negatives == 0) return std::numeric_limits<double>::quiet_NaN();
    sum += pairs / (2 * positives * negatives);
  }
  return sum / static_cast<double>(seeds_.size());
}

Interval bootstrap_auc(const AucOfSeeds& model, std::int64_t units, const ResampleOptions& options) {
  const std::vector<std::int32_t> once(static_cast<std::size_t>(units), 1);
  return interval_of(model.value(once),
                     resampled(units, options, [&](std::span<const std::int32_t> c) { return model.value(c); }),
                     options.confidence);
}

Comparison compare_auc(const AucOfSeeds& a, const AucOfSeeds& b, std::int64_t units, const ResampleOptions& options) {
  const std::vector<std::int32_t> once(static_cast<std::size_t>(units), 1);
  const auto differences =
      resampled(units, options, [&](std::span<const std::int32_t> c) { return b.value(c) - a.value(c); });
  std::int64_t not_above = 0, not_below = 0, counted = 0;
  for (const double difference : differences) {
    if (std::isnan(difference)) continue;
    ++counted;
    not_above += difference <= 0 ? 1 : 0;
    not_below += difference >= 0 ? 1 : 0;
  }
  const double p = 2 * static_cast<double>(1 + std::min(not_above, not_below)) / static_cast<double>(1 + counted);
  return {interval_of(b.value(once) - a.value(once), differences, options.confidence), std::min(1.0, p)};
}

}  // namespace swallowtail
