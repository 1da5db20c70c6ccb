// The K best of many scores for each user, best first.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/embedding.h"

namespace swallowtail {

struct TopKOptions {
  std::int64_t users, items, k;  // U, N, K
  JaggedView excluded;           // a bag of items for each user that may not be chosen, in any order; no offsets: none
  std::span<const std::uint8_t> candidates;  // [N] 0: may not be chosen by anyone; or empty: all may
};

/// items [U, K] by falling score, equal scores by rising number; -1 where fewer than K may be chosen. scores [U, N]; a
/// NaN is never chosen. `best_scores` [U, K], or empty: not wanted; -infinity beside -1.
void top_k(const TopKOptions& options, const float* scores, std::span<std::int64_t> items,
           std::span<float> best_scores);

}  // namespace swallowtail
