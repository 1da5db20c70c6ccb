// Logits and loss of click models on the device: the meaning of trainer/training/loss.h, in fp64 inside.
// All pointers are device memory; calls return at once.
#pragma once

#include <cstdint>

#include "kernels/cuda/device.h"
#include "kernels/cuda/step_facts.h"

namespace swallowtail::cuda {

/// logit = top + the sample's linear columns + dense . weights
struct LogitTerms {
  std::int64_t samples = 0;
  const float* top = nullptr;  // [samples, top_stride], the first column
  std::int64_t top_stride = 0;
  const float* linear = nullptr;  // [samples, linear_stride], linear_count columns
  std::int64_t linear_stride = 0, linear_count = 0;
  const float* dense = nullptr;  // [samples, dense_stride], dense_count columns
  std::int64_t dense_stride = 0, dense_count = 0;
  const float* dense_weights = nullptr;  // [dense_count]
};
void sum_logits(const LogitTerms& terms, float* logits, Stream& stream);

struct ClickLoss {
  bool mse = false;
  double negative_weight = 1, positive_weight = 1, label_smoothing = 0;
};

struct LossInput {
  std::int64_t samples = 0;
  const float* logits = nullptr;
  const float* labels = nullptr;
  const float* weights = nullptr;    // or null: every sample weighs 1
  const StepFacts* facts = nullptr;  // gradient_scale
};

/// Where the gradient of the logits goes: the first of `columns` columns of `top`, the others zeros; each of the linear
/// columns.
struct LogitGradient {
  float* top = nullptr;
  std::int64_t top_columns = 0;
  float* linear = nullptr;
  std::int64_t linear_stride = 0, linear_count = 0;
};

/// The same for gradients [samples] that were worked out elsewhere.
void spread_gradient(std::int64_t samples, const float* logit_gradient, const LogitGradient& gradient, Stream& stream);

struct LossScratch {
  DeviceBuffer<double> partial_sums;
};

/// *loss = the sum over samples (not the mean), added in a fixed order; gradients are times facts->gradient_scale.
void click_loss(const ClickLoss& loss, const LossInput& input, double* sum, const LogitGradient& gradient,
                LossScratch& scratch, Stream& stream);

}  // namespace swallowtail::cuda
