#include "trainer/evaluation/ranked.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <string>
#include <tuple>

#include "parallel/error.h"
#include "trainer/evaluation/compensated_sum.h"

namespace swallowtail {
namespace {

struct Sample {
  double score;
  float label, weight;
};

}  // namespace

void check_predictions(const Predictions& predictions) {
  const auto& probabilities = predictions.probabilities;
  assert(predictions.labels.size() == probabilities.size());
  assert(predictions.weights.empty() || predictions.weights.size() == probabilities.size());
  const auto bad = std::ranges::find_if(probabilities, [](double p) { return std::isnan(p); });
  if (bad != probabilities.end())
    throw Error{ExitCode::numbers, "a predicted probability is NaN",
                "sample " + std::to_string(bad - probabilities.begin()),
                "the model's weights or inputs are no longer finite; lower the learning rate or clip gradients"};
}

Ranking rank_by_score(const Predictions& predictions) {
  check_predictions(predictions);
  std::vector<Sample> samples(predictions.probabilities.size());
  for (std::size_t i = 0; i < samples.size(); ++i)
    samples[i] = {predictions.probabilities[i], predictions.labels[i],
                  predictions.weights.empty() ? 1.0F : predictions.weights[i]};
  // Samples that compare equal are equal, so the sums below see the same sequence for every order of the input.
  std::ranges::sort(samples, [](const Sample& a, const Sample& b) {
    if (a.score != b.score) return a.score > b.score;
    return std::tie(a.label, a.weight) < std::tie(b.label, b.weight);
  });
  Ranking ranking;
  CompensatedSum positives, negatives;
  for (std::size_t i = 0; i < samples.size();) {
    const double score = samples[i].score;
    CompensatedSum group_positives, group_negatives;
    for (; i < samples.size() && samples[i].score == score; ++i)
      (samples[i].label > 0.5F ? group_positives : group_negatives).add(samples[i].weight);
    ranking.groups.push_back({score, group_positives.value(), group_negatives.value()});
    positives.add(group_positives.value());
    negatives.add(group_negatives.value());
  }
  ranking.positives = positives.value();
  ranking.negatives = negatives.value();
  return ranking;
}

}  // namespace swallowtail
