// Scores a dataset with a session's model over all ranks, and computes exact metrics of the whole on rank 0.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "trainer/evaluation/metrics.h"
#include "trainer/training/session.h"

namespace swallowtail {

/// A dataset's predictions in the dataset's order, on rank 0; empty on the others.
struct Scores {
  std::vector<double> probabilities;
  std::vector<float> labels, weights;  // weights empty: every sample weighs 1
  Predictions view() const { return {probabilities, labels, weights}; }
};

/// Collective. `averaged`: with the averaged weights (their average is settled to `step` first).
/// Errors: numbers, naming the sample, where a score is not finite.
Scores score(Session& session, const Dataset& dataset, std::int64_t step, bool averaged);

/// Errors: usage at evaluation.metrics or train.early_stopping.metric where a name is unknown, or where the run would
/// be steered by a metric that it does not compute, or by one of which neither more nor less is better.
void check_metric_names(const Experiment& experiment);

using MetricValues = std::vector<std::pair<std::string, MetricValue>>;

/// Collective: evaluation.metrics of rank 0's scores, the same values on every rank.
MetricValues evaluate_scores(Session& session, const Scores& scores, std::int64_t step);

/// Values that a generator with known probabilities allows at best on this dataset; empty where they are not known.
MetricValues best_reachable(const Dataset& dataset, const std::vector<std::string>& names);

nlohmann::ordered_json to_json(const MetricValues& values);  // undefined values are null

}  // namespace swallowtail
