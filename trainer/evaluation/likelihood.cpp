#include "trainer/evaluation/likelihood.h"

#include <algorithm>
#include <cmath>

#include "trainer/evaluation/compensated_sum.h"
#include "trainer/evaluation/ranked.h"

namespace swallowtail {
namespace {

/// Sum over samples of weight * term(p, y).
template <typename Term>
double weighted_sum(const Predictions& predictions, Term term) {
  CompensatedSum sum;
  for (std::size_t i = 0; i < predictions.probabilities.size(); ++i) {
    const double weight = predictions.weights.empty() ? 1.0 : predictions.weights[i];
    sum.add(weight * term(predictions.probabilities[i], static_cast<double>(predictions.labels[i])));
  }
  return sum.value();
}

template <typename Term>
MetricValue weighted_mean(const Predictions& predictions, Term term) {
  check_predictions(predictions);
  const double total = weighted_sum(predictions, [](double, double) { return 1.0; });
  if (total <= 0) return {};
  return weighted_sum(predictions, term) / total;
}

double cross_entropy(double p, double y) {
  const double clamped = std::clamp(p, 1e-15, 1 - 1e-15);
  return -y * std::log(clamped) - (1 - y) * std::log1p(-clamped);
}

}  // namespace

MetricValue logloss(const Predictions& predictions) { return weighted_mean(predictions, cross_entropy); }

MetricValue normalized_entropy(const Predictions& predictions) {
  const auto base_rate = weighted_mean(predictions, [](double, double y) { return y; });
  if (!base_rate || *base_rate <= 0 || *base_rate >= 1) return {};
  return *logloss(predictions) / cross_entropy(*base_rate, *base_rate);
}

MetricValue calibration(const Predictions& predictions) {
  check_predictions(predictions);
  const double positives = weighted_sum(predictions, [](double, double y) { return y; });
  if (positives <= 0) return {};
  return weighted_sum(predictions, [](double p, double) { return p; }) / positives;
}

MetricValue brier(const Predictions& predictions) {
  return weighted_mean(predictions, [](double p, double y) { return (p - y) * (p - y); });
}

}  // namespace swallowtail
