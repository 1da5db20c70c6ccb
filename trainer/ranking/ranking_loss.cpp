#include "trainer/ranking/ranking_loss.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace swallowtail {
namespace {

double softplus(double x) noexcept { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

double sigmoid(double x) noexcept {
  const double e = std::exp(-std::abs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

}  // namespace

double bpr_loss(double x, double& slope) noexcept {
  slope = -sigmoid(-x);
  return softplus(-x);
}

double bce_loss(double s, double y, double& slope) noexcept {
  slope = sigmoid(s) - y;
  return softplus(s) - s * y;
}

double sampled_softmax_loss(std::span<const double> scores, std::span<const double> log_q, std::int64_t m,
                            std::span<double> gradient) {
  const double log_m = std::log(static_cast<double>(m));
  std::vector<double> corrected(scores.size());
  double largest = -std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const bool is_hit = i > 0 && std::isinf(log_q[i]);
    corrected[i] = is_hit ? -std::numeric_limits<double>::infinity() : scores[i] - log_m - log_q[i];
    largest = std::max(largest, corrected[i]);
  }
  double sum = 0;
  for (const double score : corrected) sum += std::exp(score - largest);
  for (std::size_t i = 0; i < gradient.size(); ++i)
    gradient[i] = std::exp(corrected[i] - largest) / sum - (i == 0 ? 1 : 0);
  return std::log(sum) + largest - corrected[0];
}

}  // namespace swallowtail
