#include "trainer/sap/calibration.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "parallel/deterministic_reduce.h"

namespace swallowtail {
namespace {

constexpr int kIterations = 50;
constexpr std::int64_t kBins = 15;

double sigmoid(double x) {
  const double e = std::exp(-std::abs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

}  // namespace

double Calibration::chance(double score) const { return sigmoid(values_[0] * score + values_[1]); }

nlohmann::json Calibration::fit(const PooledRows& judge, const RowScorer& scorer, Communicator& ranks) {
  const auto [first, end] = chunk_share(judge.blocks(), ranks.rank(), ranks.world_size());
  std::vector<std::vector<float>> scores(judge.rows.size());
  for (std::size_t r = 0; r < judge.rows.size(); ++r) {
    scores[r].resize(static_cast<std::size_t>(judge.rows[r].pool.size()));
    scorer(judge.rows[r], scores[r]);
  }
  /// Sums over all items of all rows of what `add` makes of (score, taken), in one order for any number of ranks.
  const auto sums = [&](std::size_t width, const auto& add) {
    TreeSumDouble tree(static_cast<std::int64_t>(width), judge.blocks(), first, end);
    for (std::int64_t block = first; block < end; ++block) {
      std::vector<double> sum(width, 0.0);
      for (std::int64_t n = block * kPoolBlock; n < std::min(judge.all, (block + 1) * kPoolBlock); ++n) {
        const PooledRow& row = judge.rows[n - judge.first];
        const auto& own = scores[n - judge.first];
        for (std::size_t place = 0; place < own.size(); ++place)
          add(own[place], std::ranges::find(row.relevant, static_cast<std::int32_t>(place)) != row.relevant.end(), sum);
      }
      tree.add(block, sum);
    }
    std::vector<double> total(width, 0.0);
    tree.finish(ranks, Tag{"calibration"}, total);
    return total;
  };
  const auto counts = sums(2, [](double, bool taken, auto& sum) {
    sum[0] += taken ? 1 : 0;
    sum[1] += 1;
  });
  const double taken = counts[0], left = counts[1] - counts[0];
  if (taken == 0 || left == 0) return {{"a", values_[0]}, {"b", values_[1]}, {"ece", nullptr}};
  const double high = (taken + 1) / (taken + 2), low = 1 / (left + 2);  // so that a separable set has an end
  double a = 1, b = std::log((taken + 1) / (left + 1));
  for (int iteration = 0; iteration < kIterations; ++iteration) {
    const auto s = sums(5, [&](double x, bool is_taken, auto& sum) {
      const double p = sigmoid(a * x + b), slope = p - (is_taken ? high : low), curve = std::max(p * (1 - p), 1e-12);
      sum[0] += slope * x;
      sum[1] += slope;
      sum[2] += curve * x * x;
      sum[3] += curve * x;
      sum[4] += curve;
    });
    const double determinant = (s[2] + 1e-9) * (s[4] + 1e-9) - s[3] * s[3];
    const double da = ((s[4] + 1e-9) * s[0] - s[3] * s[1]) / determinant;
    const double db = ((s[2] + 1e-9) * s[1] - s[3] * s[0]) / determinant;
    a -= da;
    b -= db;
    if (std::abs(da) + std::abs(db) < 1e-10) break;
  }
  values_ = {static_cast<float>(std::max(a, 0.0)), static_cast<float>(b)};

  // Bins of equally many items by this rank's and all other ranks' scores: edges from a fine histogram of chances.
  constexpr std::size_t kFine = 4096;
  const auto fine = sums(3 * kFine, [&](double x, bool is_taken, auto& sum) {
    const double p = chance(x);
    // On the logit's scale: nearly all chances are small.
    const double logit = std::clamp(values_[0] * x + values_[1], -16.0, 16.0);
    const auto bin = std::min(kFine - 1, static_cast<std::size_t>((logit + 16) / 32 * kFine));
    sum[bin] += 1;
    sum[kFine + bin] += p;
    sum[2 * kFine + bin] += is_taken ? 1 : 0;
  });
  const double all = taken + left;
  double ece = 0, in_bin = 0, chances = 0, hits = 0;
  for (std::size_t bin = 0; bin < kFine; ++bin) {
    in_bin += fine[bin];
    chances += fine[kFine + bin];
    hits += fine[2 * kFine + bin];
    if (in_bin < all / kBins && bin + 1 < kFine) continue;
    ece += std::abs(chances - hits) / all;
    in_bin = chances = hits = 0;
  }
  return {{"a", values_[0]}, {"b", values_[1]}, {"base_rate", taken / all}, {"ece", ece}};
}

}  // namespace swallowtail
