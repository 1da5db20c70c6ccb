#include "trainer/evaluation/auc.h"

#include "kernels/auc.h"
#include "trainer/evaluation/compensated_sum.h"
#include "trainer/evaluation/ranked.h"

namespace swallowtail {

MetricValue auc(const Predictions& predictions) {
  check_predictions(predictions);
  // Samples that weigh alike are counted; weights and scores that are no probabilities take the general way.
  if (predictions.weights.empty())
    if (const auto area = exact_auc(predictions.probabilities, predictions.labels)) return area;
  const auto ranking = rank_by_score(predictions);
  if (ranking.positives <= 0 || ranking.negatives <= 0) return {};
  CompensatedSum won;  // weight of (positive, negative) pairs in the right order, ties by half
  double positives_above = 0;
  for (const auto& group : ranking.groups) {
    won.add(group.negatives * (positives_above + group.positives / 2));
    positives_above += group.positives;
  }
  return won.value() / (ranking.positives * ranking.negatives);
}

MetricValue pr_auc(const Predictions& predictions) {
  const auto ranking = rank_by_score(predictions);
  if (ranking.positives <= 0) return {};
  CompensatedSum area;
  double positives = 0, negatives = 0;
  for (const auto& group : ranking.groups) {
    positives += group.positives;
    negatives += group.negatives;
    if (group.positives > 0) area.add(group.positives * (positives / (positives + negatives)));
  }
  return area.value() / ranking.positives;
}

}  // namespace swallowtail
