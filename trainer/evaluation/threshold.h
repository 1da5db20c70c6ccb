// Metrics of the decision `probability >= threshold`, weighted where there are weights. Nothing where a ratio is 0 / 0.
#pragma once

#include "trainer/evaluation/metrics.h"

namespace swallowtail {

MetricValue accuracy_at(const Predictions& predictions, double threshold);   // right decisions / all
MetricValue precision_at(const Predictions& predictions, double threshold);  // true positives / predicted positives
MetricValue recall_at(const Predictions& predictions, double threshold);     // true positives / positives
/// 2 TP / (2 TP + FP + FN): 0, not nothing, where positives exist and none is found.
MetricValue f1_at(const Predictions& predictions, double threshold);

}  // namespace swallowtail
