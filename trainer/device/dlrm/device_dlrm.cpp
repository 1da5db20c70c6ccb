#include "trainer/device/dlrm/device_dlrm.h"

#include <algorithm>
#include <vector>

#include "kernels/cuda/dense_update.h"

namespace swallowtail {

using cuda::Activations;
using cuda::DeviceBuffer;
using cuda::Precision;
using cuda::Vectors;

namespace {

DeviceMlp::Options bottom_options(const DlrmNetwork& network, Precision precision) {
  return {.relu_last = true, .outer_columns = network.dim, .precision = precision};
}
DeviceMlp::Options top_options(const DlrmNetwork& network, Precision precision, std::uint64_t seed) {
  return {.precision = precision, .dropout = network.dropout, .seed = seed, .dropout_layer = network.dropout_layer};
}

}  // namespace

DeviceDlrm::DeviceDlrm(const PaddedParameters& parameters, std::int64_t dense_features, std::int64_t linear_count,
                       Precision precision, std::uint64_t seed, cuda::Stream& stream)
    : network_(parameters.network()),
      dense_(dense_features),
      linear_count_(linear_count),
      linear_columns_((linear_count + 3) / 4 * 4),
      crossed_columns_(parameters.network().top.front().in),
      precision_(precision),
      stream_(stream),
      top_(parameters.network().top, top_options(parameters.network(), precision, seed)),
      workspace_(stream) {
  if (!network_.bottom.empty()) bottom_.emplace(network_.bottom, bottom_options(network_, precision));
  if (!network_.cross.empty()) cross_.emplace(network_.cross, precision);
  width_ = linear_columns_ + (network_.vectors + (bottom_ ? 1 : 0)) * network_.dim;
}

std::int64_t DeviceDlrm::column_of(std::int64_t table) const noexcept {
  if (table >= network_.vectors) return table - network_.vectors;
  return linear_columns_ + (table + (bottom_ ? 1 : 0)) * network_.dim;
}

bool DeviceDlrm::reserve(std::int64_t samples) {
  if (samples <= room_) return false;
  room_ = samples;
  std::int64_t widest = top_.widest();  // its inputs, which are as many as a cross network's, are among them
  if (bottom_) {
    bottom_->reserve(samples);
    widest = std::max(widest, bottom_->widest());
  }
  if (cross_) cross_->reserve(samples);
  top_.reserve(samples);
  workspace_.sums.reserve(samples * widest);
  for (DeviceBuffer<float>& turn : workspace_.gradients) turn.reserve(samples * widest);
  if (cuda::is_half(precision_)) {
    workspace_.half_gradient.reserve(samples * widest);
    half_dense_.reserve(samples * padded_columns(dense_));
    half_crossed_.reserve(samples * crossed_columns_);
  }
  for (DeviceBuffer<float>* buffer : {&pooled_, &pooled_gradient_}) {
    buffer->reserve(samples * width_);
    cuda::zero(buffer->data(), buffer->size(), stream_);  // columns of no table are read with the others
  }
  for (DeviceBuffer<float>* buffer : {&crossed_, &crossed_gradient_}) {
    buffer->reserve(samples * crossed_columns_);
    cuda::zero(buffer->data(), buffer->size(), stream_);
  }
  top_out_.reserve(samples * top_.outputs());
  top_gradient_.reserve(samples * top_.outputs());
  logits_.reserve(samples);

  const auto describe = [&](float* data) {
    std::vector<Vectors> vectors;
    for (std::int64_t column = linear_columns_; column < width_; column += network_.dim)
      vectors.push_back({data + column, width_});
    return cuda::to_device<Vectors>(vectors, stream_);
  };
  vectors_ = describe(pooled_.data());
  stream_.wait();  // the copies read what describe() made
  gradient_vectors_ = describe(pooled_gradient_.data());
  stream_.wait();
  return true;
}

const void* DeviceDlrm::dense_input(const DeviceBatch& batch) {
  if (!cuda::is_half(precision_)) return batch.dense;
  cuda::round_to_half(precision_, batch.dense, batch.samples * padded_columns(dense_), half_dense_.data(), stream_);
  return half_dense_.data();
}

cuda::DotInteraction DeviceDlrm::interaction(const DeviceBuffer<Vectors>& vectors, std::int64_t samples) const {
  return {
      {samples, network_.dim, network_.itself, bottom_.has_value()}, vectors.data(), vectors.size(), crossed_columns_};
}

void DeviceDlrm::bottom(const DeviceBatch& batch, const DeviceParameterViews& parameters,
                        const cuda::StepFacts* facts) {
  if (!bottom_) return;
  bottom_->forward(batch.samples, dense_input(batch), parameters, facts, true,
                   {pooled_.data() + linear_columns_, width_}, workspace_, stream_);
}

void DeviceDlrm::forward(const DeviceBatch& batch, const DeviceParameterViews& parameters, const cuda::StepFacts* facts,
                         bool training) {
  const std::int64_t samples = batch.samples;
  if (network_.dot)
    cuda::dot_interaction_forward(interaction(vectors_, samples), crossed_.data(), stream_);
  else
    cuda::copy_columns({samples, width_ - linear_columns_}, {pooled_.data() + linear_columns_, width_},
                       {crossed_.data(), crossed_columns_}, stream_);
  if (cross_) cross_->forward(samples, crossed_.data(), parameters, workspace_, stream_);
  const void* x = top_input();
  if (cuda::is_half(precision_)) {
    cuda::round_to_half(precision_, top_input(), samples * crossed_columns_, half_crossed_.data(), stream_);
    x = half_crossed_.data();
  }
  top_.forward(samples, x, parameters, facts, training, {top_out_.data(), top_.outputs()}, workspace_, stream_);
  cuda::sum_logits({.samples = samples,
                    .top = top_out_.data(),
                    .top_stride = top_.outputs(),
                    .linear = pooled_.data(),
                    .linear_stride = width_,
                    .linear_count = linear_count_,
                    .dense = batch.dense,
                    .dense_stride = padded_columns(dense_),
                    .dense_count = network_.dense_linear < 0 ? 0 : dense_,
                    .dense_weights = network_.dense_linear < 0 ? nullptr : parameters.weights + network_.dense_linear},
                   logits_.data(), stream_);
}

cuda::LogitGradient DeviceDlrm::logit_gradient() {
  return {top_gradient_.data(), top_.outputs(), pooled_gradient_.data(), width_, linear_count_};
}

void DeviceDlrm::loss(const cuda::ClickLoss& loss, const DeviceBatch& batch, const cuda::StepFacts* facts,
                      double* sum) {
  cuda::click_loss(loss, {batch.samples, logits_.data(), batch.labels, batch.weights, facts}, sum, logit_gradient(),
                   loss_scratch_, stream_);
}

void DeviceDlrm::take_gradient(const DeviceBatch& batch, const float* logit_gradient_of) {
  cuda::spread_gradient(batch.samples, logit_gradient_of, logit_gradient(), stream_);
}

void DeviceDlrm::backward(const DeviceBatch& batch, const DeviceParameterViews& parameters) {
  const std::int64_t samples = batch.samples, crossed = width_ - linear_columns_;
  const bool half = cuda::is_half(precision_);
  if (network_.dense_linear >= 0)
    workspace_.gemm.multiply(Precision::fp32, {padded_columns(dense_), 1, samples},
                             {batch.dense, padded_columns(dense_), true}, {top_gradient_.data(), top_.outputs()},
                             parameters.gradient + network_.dense_linear, 1);
  top_.backward(samples, half ? static_cast<const void*>(half_crossed_.data()) : top_input(), parameters,
                {top_out_.data(), top_.outputs()}, top_gradient_.data(), top_.outputs(), crossed_gradient_.data(),
                workspace_, stream_);
  const cuda::Strided of_crossed{crossed_gradient_.data(), crossed_columns_};
  const cuda::Strided of_pooled{pooled_gradient_.data() + linear_columns_, width_};
  if (network_.dot) {
    cuda::dot_interaction_backward(interaction(vectors_, samples), crossed_gradient_.data(), gradient_vectors_.data(),
                                   stream_);
  } else if (cross_) {
    cross_->backward(samples, crossed_.data(), parameters, crossed_gradient_.data(), workspace_, stream_);
    cuda::sum_columns({samples, crossed}, of_crossed, {cross_->x0_gradient(), crossed_columns_}, of_pooled, stream_);
  } else {
    cuda::copy_columns({samples, crossed}, of_crossed, of_pooled, stream_);
  }
  if (!bottom_) return;
  bottom_->backward(samples, half ? static_cast<const void*>(half_dense_.data()) : batch.dense, parameters,
                    {pooled_.data() + linear_columns_, width_}, pooled_gradient_.data() + linear_columns_, width_,
                    nullptr, workspace_, stream_);
}

}  // namespace swallowtail
