// How sure a figure is, and whether two differ, from the units that it is a figure of (users, samples): intervals by
// the paired bootstrap (Efron, Ann. Stat. 1979; percentiles as numpy.percentile has them), and p-values. Units of both
// sides are the same ones in the same order. Draws come from counters, so that every call gives the same numbers:
//   resample r takes, as its i-th unit, unit below(bits(seed, "bootstrap", r, i), units)
//   flip r changes the sign of unit i where bit i % 64 of bits(seed, "sign flip", r, i / 64) is set
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace swallowtail {

struct ResampleOptions {
  std::int64_t resamples = 2000;
  double confidence = 0.95;
  std::uint64_t seed = 1;
};

struct Interval {
  double value = 0, low = 0, high = 0;
};

/// A difference, its interval, and the chance of one at least as large (of either sign) if there were none.
struct Comparison {
  Interval difference;
  double p = 1;
};

/// Mean of the units. At least one unit.
Interval bootstrap_mean(std::span<const double> units, const ResampleOptions& options);

/// Mean of b - a. p: permutation test by sign flips, (1 + flips at least as far from 0) / (1 + resamples).
Comparison compare_means(std::span<const double> a, std::span<const double> b, const ResampleOptions& options);

/// AUC of one model or several seeds of it: the mean of their AUCs. `probabilities`: one array [units] a seed.
class AucOfSeeds {
 public:
  AucOfSeeds(std::span<const float> labels, const std::vector<std::vector<double>>& probabilities);
  /// Each unit counted so many times, [units]; nothing (NaN) where a class is missing.
  double value(std::span<const std::int32_t> counts) const;

 private:
  std::vector<char> is_positive_;
  struct Seed {
    std::vector<std::int64_t> order;  // [units] by rising probability
    std::vector<char> is_new;         // [units] in that order: not the same probability as the one before
  };
  std::vector<Seed> seeds_;
};

/// Of one model. Both classes must be there. Resamples without one of them are left out.
Interval bootstrap_auc(const AucOfSeeds& model, std::int64_t units, const ResampleOptions& options);

/// AUC of b - AUC of a. p by the bootstrap: twice the share of resamples on the other side of 0, by the same rule.
Comparison compare_auc(const AucOfSeeds& a, const AucOfSeeds& b, std::int64_t units, const ResampleOptions& options);

}  // namespace swallowtail
