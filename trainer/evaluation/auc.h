// Metrics of the ranking alone: invariant under every strictly rising transform of the scores, ties counted as ties.
#pragma once

#include "trainer/evaluation/metrics.h"

namespace swallowtail {

/// P(score of a positive > score of a negative) + 1/2 P(equal): the mid-rank AUC. Nothing where a class is missing.
MetricValue auc(const Predictions& predictions);

/// Average precision, sum over thresholds of (recall - previous recall) * precision, equal scores being one threshold
/// (scikit-learn's average_precision_score). Nothing where no label is 1.
MetricValue pr_auc(const Predictions& predictions);

}  // namespace swallowtail
