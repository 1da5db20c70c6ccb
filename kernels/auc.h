// The area under the ROC curve of samples that weigh alike, exact: P(a positive scores above a negative) + half
// P(equal). Scores are sorted as integers with their labels in the lowest bit, and pairs are counted in integers, so
// the result does not depend on the order of the samples or on threads.
#pragma once

#include <optional>
#include <span>

namespace swallowtail {

/// scores [N] >= 0 and no NaN, labels [N] positive above 0.5. Nothing where a class is missing or a score is negative.
/// Cost: three moves of 4 bytes a sample where every score is an fp32 number, of 8 bytes else.
std::optional<double> exact_auc(std::span<const double> scores, std::span<const float> labels);

}  // namespace swallowtail
