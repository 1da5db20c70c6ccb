#include <algorithm>
#include <cmath>

#include "trainer/evaluation/compensated_sum.h"
#include "trainer/evaluation/metrics.h"
#include "trainer/evaluation/ranked.h"

namespace swallowtail {
namespace {

/// At most `points` vertices, evenly spaced along the curve (in |dx| + |dy|), so that steep parts keep theirs.
Curve thinned(Curve curve, int points) {
  const std::size_t size = curve.x.size(), wanted = static_cast<std::size_t>(std::max(points, 2));
  if (size <= wanted) return curve;
  std::vector<double> length(size, 0);
  for (std::size_t i = 1; i < size; ++i)
    length[i] = length[i - 1] + std::abs(curve.x[i] - curve.x[i - 1]) + std::abs(curve.y[i] - curve.y[i - 1]);
  Curve thin;
  std::size_t kept = size;  // none yet
  for (std::size_t k = 0; k < wanted; ++k) {
    const double target = length.back() * static_cast<double>(k) / static_cast<double>(wanted - 1);
    const auto at = static_cast<std::size_t>(std::ranges::lower_bound(length, target) - length.begin());
    const std::size_t vertex = k + 1 == wanted ? size - 1 : std::min(at, size - 1);
    if (vertex == kept) continue;
    thin.x.push_back(curve.x[vertex]);
    thin.y.push_back(curve.y[vertex]);
    kept = vertex;
  }
  return thin;
}

}  // namespace

Curve roc_curve(const Predictions& predictions, int points) {
  const auto ranking = rank_by_score(predictions);
  if (ranking.positives <= 0 || ranking.negatives <= 0) return {};
  Curve curve{{0}, {0}};
  double positives = 0, negatives = 0;
  for (const auto& group : ranking.groups) {
    curve.x.push_back((negatives += group.negatives) / ranking.negatives);
    curve.y.push_back((positives += group.positives) / ranking.positives);
  }
  curve.x.back() = curve.y.back() = 1;  // weights may have left a rounding error
  return thinned(std::move(curve), points);
}

Curve precision_recall_curve(const Predictions& predictions, int points) {
  const auto ranking = rank_by_score(predictions);
  if (ranking.positives <= 0) return {};
  Curve curve;
  double positives = 0, negatives = 0;
  for (const auto& group : ranking.groups) {
    positives += group.positives;
    negatives += group.negatives;
    if (positives + negatives <= 0) continue;
    const double precision = positives / (positives + negatives);
    if (curve.x.empty()) curve = {{0}, {precision}};  // drawn level from recall 0: constant scores are a level line
    curve.x.push_back(positives / ranking.positives);
    curve.y.push_back(precision);
  }
  curve.x.back() = 1;
  return thinned(std::move(curve), points);
}

Curve calibration_curve(const Predictions& predictions, int bins) {
  const auto ranking = rank_by_score(predictions);
  const double total = ranking.positives + ranking.negatives;
  Curve curve;
  CompensatedSum score, positives, weight;
  double seen = 0;
  int filled = 0;
  // Equal scores share a bin: split between two, their labels would be split by the accident of the sort.
  for (auto group = ranking.groups.rbegin(); group != ranking.groups.rend(); ++group) {
    const double group_weight = group->positives + group->negatives;
    score.add(group->score * group_weight);
    positives.add(group->positives);
    weight.add(group_weight);
    seen += group_weight;
    const bool is_last = std::next(group) == ranking.groups.rend();
    if (!is_last && seen < total * (filled + 1) / bins) continue;
    if (weight.value() > 0) {
      curve.x.push_back(score.value() / weight.value());
      curve.y.push_back(positives.value() / weight.value());
    }
    filled = std::max(filled + 1, static_cast<int>(seen / total * bins));
    score = positives = weight = {};
  }
  return curve;
}

}  // namespace swallowtail
