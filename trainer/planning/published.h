// The step model against published results: the one free constant is fitted on one of them, the others are predicted.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "trainer/planning/cluster.h"

namespace swallowtail {

struct PublishedResult {
  std::string name, system, cluster;
  int world_size = 1;
  double batch_size = 0, samples_per_s = 0;
};

struct PublishedResults {
  std::string fitted_on;  // name of one of them
  std::vector<PublishedResult> results;
};

/// configs/clusters/published.yaml as this program was built with it.
PublishedResults read_published();

struct PublishedComparison {
  PublishedResult result;
  double predicted_samples_per_s = 0, imbalance = 0;
  bool is_fitted = false;
  double error() const noexcept { return predicted_samples_per_s / result.samples_per_s - 1; }
};

struct PublishedValidation {
  double kernel_overhead_s = 0;  // as fitted
  std::vector<PublishedComparison> comparisons;
  double largest_error = 0;  // of those that were not fitted, absolute
};

/// `predict(cluster, world_size, batch)`: seconds of a step and the imbalance of its plan, under the cluster as given.
struct PredictedStep {
  double seconds = 0, imbalance = 1;
};
PublishedValidation validate_published(const std::function<PredictedStep(const Cluster&, int, double)>& predict);

}  // namespace swallowtail
