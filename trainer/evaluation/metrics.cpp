#include "trainer/evaluation/metrics.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "parallel/error.h"
#include "trainer/evaluation/auc.h"
#include "trainer/evaluation/likelihood.h"
#include "trainer/evaluation/threshold.h"

namespace swallowtail {
namespace {

template <MetricValue (*metric)(const Predictions&, double)>
MetricValue at_one_half(const Predictions& predictions) {
  return metric(predictions, 0.5);
}

constexpr std::array kMetrics{
    MetricEntry{"auc", "chance that a positive scores above a negative, ties by half", true, auc},
    MetricEntry{"pr_auc", "average precision over the recall levels", true, pr_auc},
    MetricEntry{"logloss", "mean binary cross-entropy, in nats", false, logloss},
    MetricEntry{"ne", "logloss / entropy of the base rate; 1 is a constant guess", false, normalized_entropy},
    MetricEntry{"calibration", "sum of predictions / sum of labels; 1 is right", true, calibration},
    MetricEntry{"accuracy", "share of right decisions at threshold 0.5", true, at_one_half<accuracy_at>},
    MetricEntry{"precision", "share of positives among the predicted ones, at threshold 0.5", true,
                at_one_half<precision_at>},
    MetricEntry{"recall", "share of the positives that are found, at threshold 0.5", true, at_one_half<recall_at>},
    MetricEntry{"f1", "harmonic mean of precision and recall, at threshold 0.5", true, at_one_half<f1_at>},
    MetricEntry{"brier", "mean squared error of the probability", false, brier},
};

/// Levenshtein distance.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replaced}));
    }
  }
  return row.back();
}

}  // namespace

std::span<const MetricEntry> metrics() { return kMetrics; }

const MetricEntry& find_metric(std::string_view name) {
  const auto found = std::ranges::find(kMetrics, name, &MetricEntry::name);
  if (found != kMetrics.end()) return *found;
  const auto nearest = std::ranges::min_element(
      kMetrics, {}, [&](const MetricEntry& metric) { return edit_distance(name, metric.name); });
  throw Error{ExitCode::usage,
              "unknown metric '" + std::string(name) + "'",
              {},
              "did you mean '" + std::string(nearest->name) + "'?"};
}

std::vector<std::pair<std::string, MetricValue>> evaluate_metrics(std::span<const std::string> names,
                                                                  const Predictions& predictions) {
  std::vector<std::pair<std::string, MetricValue>> values;
  for (const auto& name : names) values.emplace_back(name, find_metric(name).function(predictions));
  return values;
}

}  // namespace swallowtail
