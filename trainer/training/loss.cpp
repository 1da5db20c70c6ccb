#include "trainer/training/loss.h"

#include <algorithm>
#include <cmath>

namespace swallowtail {

LossOptions loss_options(const Experiment& experiment) {
  LossOptions options;
  options.mse = experiment.text("train.loss") == "mse";
  options.label_smoothing = experiment.number("train.label_smoothing");
  if (experiment.has("train.class_weights")) {
    const auto weights = experiment.numbers("train.class_weights");
    if (weights.size() != 2 || weights[0] < 0 || weights[1] < 0)
      throw experiment.error("train.class_weights",
                             "class weights are two numbers, of the negative and the positive class",
                             "write for example [1, 4]");
    options.negative_weight = weights[0];
    options.positive_weight = weights[1];
  }
  return options;
}

double loss_sum(const LossOptions& options, std::span<const float> logits, std::span<const float> labels,
                std::span<const float> weights, double scale, std::span<float> gradient) {
  double sum = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double logit = logits[i];
    const double label = labels[i] * (1 - options.label_smoothing) + options.label_smoothing / 2;
    const double weight = (labels[i] > 0.5F ? options.positive_weight : options.negative_weight) *
                          (weights.empty() ? 1.0 : static_cast<double>(weights[i]));
    const double tail = std::exp(-std::abs(logit));
    const double probability = logit >= 0 ? 1 / (1 + tail) : tail / (1 + tail);
    const double miss = probability - label;
    sum += weight * (options.mse ? miss * miss : std::max(logit, 0.0) - logit * label + std::log1p(tail));
    if (!gradient.empty())
      gradient[i] =
          static_cast<float>(scale * weight * (options.mse ? 2 * miss * probability * (1 - probability) : miss));
  }
  return sum;
}

}  // namespace swallowtail
