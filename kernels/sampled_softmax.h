// Sampled softmax with the logQ correction, fused: loss, gradients and row updates of a batch in one call.
//   loss of sample t = weight_t * (ln(exp(l_p) + sum over k of exp(l_k)) - l_p),  l_i = u . i + bias_i - ln q_i
// A negative that is the positive itself counts for nothing. Regularisation, determinism and order as in bpr.h.
// Sources: Bengio and Senecal, IEEE TNN 2008; Yi et al., RecSys 2019 (the correction for in-batch negatives).
#pragma once

#include "kernels/factors.h"

namespace swallowtail {

struct SamplingLogQ {                // borrowed; both empty: no correction
  std::span<const float> positives;  // [B] ln of the probability with which the sampler gives the item
  std::span<const float> negatives;  // [B, K]
};

/// Requires  0 <= ids < rows.
FactorStep sampled_softmax_step(const OptimizerStep& step, const FactorTables& tables, const TripletBatch& batch,
                                const SamplingLogQ& log_q, FactorScratch& scratch);

}  // namespace swallowtail
