#include "parallel/sharding/id_distribution.h"

#include <algorithm>
#include <cmath>

namespace swallowtail {

namespace {

// Rows of nearly equal chance are taken together: groups of ranks [a, a * kGrowth).
constexpr double kGrowth = 1.06;

}  // namespace

double IdDistribution::hot_share(double rows_kept) const {
  const auto all = static_cast<double>(rows);
  if (rows_kept >= all) return 1;
  if (rows_kept <= 0) return 0;
  if (zipf == 0) return rows_kept / all;
  // The integral of x^-zipf from 1 to k + 1 over that to rows + 1.
  const double power = 1 - zipf;
  if (std::abs(power) < 1e-9) return std::log1p(rows_kept) / std::log1p(all);
  return std::expm1(power * std::log1p(rows_kept)) / std::expm1(power * std::log1p(all));
}

double IdDistribution::distinct_rows(double draws) const {
  if (rows <= 0 || draws <= 0) return 0;
  const auto all = static_cast<double>(rows);
  // The chance that one row of chance p is drawn at least once, as a Poisson count.
  const auto drawn = [draws](double chance) { return -std::expm1(-draws * chance); };
  if (zipf == 0) return std::min(draws, all * drawn(1 / all));
  double distinct = 0, below = 0;
  for (double first = 0; first < all;) {
    const double end = std::min(all, std::max(first + 1, std::floor(first * kGrowth)));
    const double share = hot_share(end);
    distinct += (end - first) * drawn((share - below) / (end - first));
    below = share;
    first = end;
  }
  return std::min(draws, distinct);
}

}  // namespace swallowtail
