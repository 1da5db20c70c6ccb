#include "trainer/device/dlrm/dlrm_dense.h"

#include <algorithm>
#include <functional>

namespace swallowtail {

DlrmDense::DlrmDense(const DeviceModel& model)
    : model_(model),
      layout_(model.network),
      network_(layout_, model.network.dense, std::ssize(model.tables) - model.network.vectors, model.precision,
               model.seed, stream_),
      dense_(layout_, model, stream_),
      gradient_(static_cast<std::size_t>(model.parameters)) {}

void DlrmDense::begin(std::span<const float> parameters, std::int64_t samples, const float* dense, std::int64_t step,
                      std::int64_t first_sample) {
  samples_ = samples;
  dense_.upload_weights(parameters);
  network_.reserve(samples);
  const std::int64_t features = model_.network.dense, columns = padded_columns(features);
  dense_on_host_.reserve(samples * columns);
  dense_input_.reserve(samples * columns);
  vectors_.reserve(samples * network_.width());
  logit_gradient_.reserve(samples);
  for (std::int64_t b = 0; b < samples; ++b) {
    float* const row = dense_on_host_.data() + b * columns;
    std::fill_n(std::copy_n(dense + b * features, features, row), columns - features, 0.0F);
  }
  *facts_on_host_.data() = {.step = step, .first_sample = first_sample};
  cuda::copy_to_device(dense_input_.data(), dense_on_host_.data(), samples * columns, stream_);
  cuda::copy_to_device(facts_.data(), facts_on_host_.data(), 1, stream_);
}

void DlrmDense::forward(std::span<const float* const> pooled, bool training, float* logits) {
  const std::int64_t width = network_.width();
  for (std::size_t t = 0; t < pooled.size(); ++t) {
    const std::int64_t column = network_.column_of(static_cast<std::int64_t>(t)), dim = dim_of(t);
    for (std::int64_t b = 0; b < samples_; ++b)
      std::copy_n(pooled[t] + b * dim, dim, vectors_.data() + b * width + column);
  }
  cuda::copy_to_device(network_.pooled(), vectors_.data(), samples_ * width, stream_);
  network_.bottom(batch(), dense_.views(), facts_.data());  // writes its columns among them
  network_.forward(batch(), dense_.views(), facts_.data(), training);
  cuda::copy_to_host(logits, network_.logits(), samples_, stream_);
  stream_.wait();
}

void DlrmDense::backward(const float* logit_gradients, std::span<float* const> pooled_gradients,
                         std::span<float> gradient) {
  cuda::copy_to_device(logit_gradient_.data(), logit_gradients, samples_, stream_);
  network_.take_gradient(batch(), logit_gradient_.data());
  network_.backward(batch(), dense_.views());
  const std::int64_t width = network_.width();
  cuda::copy_to_host(vectors_.data(), network_.pooled_gradient(), samples_ * width, stream_);
  dense_.download_gradient(gradient_);
  std::ranges::transform(gradient, gradient_, gradient.begin(), std::plus<>());
  for (std::size_t t = 0; t < pooled_gradients.size(); ++t) {
    const std::int64_t column = network_.column_of(static_cast<std::int64_t>(t)), dim = dim_of(t);
    for (std::int64_t b = 0; b < samples_; ++b)
      std::copy_n(vectors_.data() + b * width + column, dim, pooled_gradients[t] + b * dim);
  }
}

}  // namespace swallowtail
