// Predictions sorted by score and gathered into groups of equal scores: what AUC, average precision and the curves
// share.
#pragma once

#include <vector>

#include "trainer/evaluation/metrics.h"

namespace swallowtail {

/// One distinct score and the weight of the samples that have it (their number where there are no weights).
struct ScoreGroup {
  double score;
  double positives, negatives;
};

struct Ranking {
  std::vector<ScoreGroup> groups;  // scores falling
  double positives = 0, negatives = 0;
};

/// Bits do not depend on the order of the samples. Errors: those of check_predictions. Cost: one sort.
Ranking rank_by_score(const Predictions& predictions);

/// Sizes agree and no probability is NaN. Errors: numbers, with the index of the first NaN.
void check_predictions(const Predictions& predictions);

}  // namespace swallowtail
