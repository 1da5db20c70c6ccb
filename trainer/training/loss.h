// Loss of logits against labels, with its gradient, in fp64 inside.
//   bce  max(s,0) - s*y + log(1 + exp(-|s|)): binary cross entropy from the logit s, stable for any s
//   mse  (sigmoid(s) - y)^2
// A sample's loss is multiplied by its weight and by the weight of its class. Label smoothing e turns y into
// y * (1 - e) + e / 2 (the class weight is chosen by the label as it was given).
#pragma once

#include <cstdint>
#include <span>

#include "trainer/config/experiment.h"

namespace swallowtail {

struct LossOptions {
  bool mse = false;
  double negative_weight = 1, positive_weight = 1, label_smoothing = 0;
};
LossOptions loss_options(const Experiment& experiment);

/// Returns the sum over samples (not the mean) and writes gradient[i] = scale * d sum / d logit[i].
/// logits, labels, gradient [B]; weights [B] or empty; gradient may be empty where only the sum is wanted.
double loss_sum(const LossOptions& options, std::span<const float> logits, std::span<const float> labels,
                std::span<const float> weights, double scale, std::span<float> gradient);

}  // namespace swallowtail
