// Losses of ranking, in fp64, with their gradients. Each is stable for any finite score.
#pragma once

#include <cstdint>
#include <span>

namespace swallowtail {

/// Bayesian personalised ranking of x = score of the positive - score of the negative: ln(1 + e^-x).
/// Source: Rendle et al., UAI 2009. `slope` becomes d loss / dx = -1 / (1 + e^x).
double bpr_loss(double x, double& slope) noexcept;

/// Binary cross-entropy of the logit s against y in {0, 1}; `slope` becomes d loss / ds = sigmoid(s) - y.
double bce_loss(double s, double y, double& slope) noexcept;

/// Softmax cross-entropy of scores[0] (the positive) against scores[1 …] (m negatives drawn with chance q), all
/// corrected to s - ln(m q): in expectation the gradient of the softmax over the whole catalogue. Only for training:
/// the uncorrected scores rank. Source: Bengio and Senecal, IEEE TNN 2008; Yi et al., RecSys 2019. scores, log_q [1 +
/// m]; a negative whose log_q is -infinity is left out (an accidental hit); gradient [1 + m] or empty.
double sampled_softmax_loss(std::span<const double> scores, std::span<const double> log_q, std::int64_t m,
                            std::span<double> gradient);

}  // namespace swallowtail
