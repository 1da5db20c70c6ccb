// Metrics of a binary prediction, exact, in fp64. One file a family (auc.cpp, likelihood.cpp, threshold.cpp); this is
// the list. Definitions: SAP.md section 5, scikit-learn's where it has one.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace swallowtail {

/// Borrowed predictions of N samples; weights empty or [N].
struct Predictions {
  std::span<const double> probabilities;  // [N] in [0, 1]
  std::span<const float> labels;          // [N] 0 or 1
  std::span<const float> weights;         // [N] > 0, or empty
};

/// A metric's value, or nothing where it is undefined (AUC of one class, …).
using MetricValue = std::optional<double>;
using MetricFunction = MetricValue (*)(const Predictions&);

struct MetricEntry {
  std::string_view name;     // "auc"
  std::string_view meaning;  // one line
  bool larger_is_better;
  MetricFunction function;
};

/// auc, pr_auc, logloss, ne, calibration, accuracy, precision, recall, f1 (at threshold 0.5), brier.
std::span<const MetricEntry> metrics();
/// Errors: usage, with the nearest known name.
const MetricEntry& find_metric(std::string_view name);

/// name -> value, in the order of `names`.
std::vector<std::pair<std::string, MetricValue>> evaluate_metrics(std::span<const std::string> names,
                                                                  const Predictions& predictions);

/// Points for plots; at most `points` of them, ends included.
struct Curve {
  std::vector<double> x, y;
};
Curve roc_curve(const Predictions& predictions, int points = 512);  // false positive rate, true positive rate
Curve precision_recall_curve(const Predictions& predictions, int points = 512);  // recall, precision
/// Equal-count bins: mean prediction, observed rate.
Curve calibration_curve(const Predictions& predictions, int bins = 20);

}  // namespace swallowtail
