// Metrics of the probabilities themselves. All are weighted means where there are weights; nothing for no samples.
#pragma once

#include "trainer/evaluation/metrics.h"

namespace swallowtail {

/// Mean of -y ln p - (1 - y) ln(1 - p), p clamped to [1e-15, 1 - 1e-15], in nats.
MetricValue logloss(const Predictions& predictions);
/// logloss / entropy of the base rate of the same samples: 1 is a constant guess. Nothing where a class is missing.
MetricValue normalized_entropy(const Predictions& predictions);
/// Sum of p / sum of y: above 1 the model promises too much. Nothing where no label is 1.
MetricValue calibration(const Predictions& predictions);
/// Mean of (p - y)^2.
MetricValue brier(const Predictions& predictions);

}  // namespace swallowtail
