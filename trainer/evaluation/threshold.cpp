#include "trainer/evaluation/threshold.h"

#include "trainer/evaluation/compensated_sum.h"
#include "trainer/evaluation/ranked.h"

namespace swallowtail {
namespace {

struct Confusion {
  double true_positives, false_positives, true_negatives, false_negatives;
};

Confusion confusion(const Predictions& predictions, double threshold) {
  check_predictions(predictions);
  CompensatedSum cells[2][2];  // [predicted][label]
  for (std::size_t i = 0; i < predictions.probabilities.size(); ++i)
    cells[predictions.probabilities[i] >= threshold][predictions.labels[i] > 0.5F].add(
        predictions.weights.empty() ? 1.0 : predictions.weights[i]);
  return {cells[1][1].value(), cells[1][0].value(), cells[0][0].value(), cells[0][1].value()};
}

MetricValue ratio(double part, double whole) {
  if (whole <= 0) return {};
  return part / whole;
}

}  // namespace

MetricValue accuracy_at(const Predictions& predictions, double threshold) {
  const auto c = confusion(predictions, threshold);
  const double right = c.true_positives + c.true_negatives;
  return ratio(right, right + c.false_positives + c.false_negatives);
}

MetricValue precision_at(const Predictions& predictions, double threshold) {
  const auto c = confusion(predictions, threshold);
  return ratio(c.true_positives, c.true_positives + c.false_positives);
}

MetricValue recall_at(const Predictions& predictions, double threshold) {
  const auto c = confusion(predictions, threshold);
  return ratio(c.true_positives, c.true_positives + c.false_negatives);
}

MetricValue f1_at(const Predictions& predictions, double threshold) {
  const auto c = confusion(predictions, threshold);
  return ratio(2 * c.true_positives, 2 * c.true_positives + c.false_positives + c.false_negatives);
}

}  // namespace swallowtail
