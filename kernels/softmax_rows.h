// The cross-entropy of a softmax, row by row, where the logits lie: what a loss over a whole catalogue spends its time
// on beside the products. Sums go in sixteen lanes that are then added in order, with the exp of kernels/cpu/exp_log.h:
// every instruction set and every number of threads gives the same bits.
#pragma once

#include <cstdint>

namespace swallowtail {

/// losses[r] = log sum_i exp(logits[r, i]) - logits[r, targets[r]]; the logits [rows, width] become the derivatives of
/// losses[r]: softmax(logits[r]) minus 1 at the target. Requires 0 <= targets[r] < width.
void softmax_cross_entropy(std::int64_t rows, std::int64_t width, const std::int64_t* targets, float* logits,
                           float* losses);
/// The same in fp64, one element after another: what the other is compared with.
void softmax_cross_entropy(std::int64_t rows, std::int64_t width, const std::int64_t* targets, double* logits,
                           double* losses);

}  // namespace swallowtail
