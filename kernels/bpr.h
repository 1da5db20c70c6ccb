// Bayesian personalised ranking, fused: loss, gradients and row updates of a batch in one call.
//   loss of sample t = weight_t * (1 / K) * sum over k of -ln sigmoid(s(u, p) - s(u, n_k)),  s(u, i) = u . i + bias_i
// and with step.weight_decay = lambda each place of a row adds weight_t * lambda / 2 * |row|^2 to the objective (not to
// the loss that is returned). Gradients are sums over the batch. Every number of threads gives the same bits, and so
// does every instruction set. Source: Rendle et al., UAI 2009, arXiv:1205.2618; the batch is one step, not B of them.
#pragma once

#include "kernels/factors.h"

namespace swallowtail {

/// Requires  0 <= ids < rows, K >= 1 where B > 0. Cost: 2 + K rows read and written a sample, and two sorts of ids.
FactorStep bpr_step(const OptimizerStep& step, const FactorTables& tables, const TripletBatch& batch,
                    FactorScratch& scratch);

/// Which of the K negatives of a sample count: all, or the one that scores best (the first of equals), whose loss then
/// is the sample's; the others have gradients of zero. Source: Zhang et al., SIGIR 2013.
enum class BprNegatives : std::uint8_t { all, hardest };

/// The first half of such a step, for rows whose update is made elsewhere: the tables are read, and their optimizer
/// states may be null. Returns the loss, and leaves in `scratch`
///   coefficients    [B, 1 + K] by which the sample's user row enters the gradients of its items (and 1 that of a bias)
///   user_gradients  [B, dim]
///   losses          [B]
double bpr_gradients(const FactorTables& tables, const TripletBatch& batch, BprNegatives negatives,
                     FactorScratch& scratch);

}  // namespace swallowtail
