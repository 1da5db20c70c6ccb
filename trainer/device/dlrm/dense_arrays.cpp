#include "trainer/device/dlrm/dense_arrays.h"

#include <algorithm>
#include <vector>

#include "kernels/cuda/dense_update.h"

namespace swallowtail {

DenseArrays::DenseArrays(const PaddedParameters& layout, const DeviceModel& model, cuda::Stream& stream)
    : layout_(layout),
      precision_(model.precision),
      clip_norm_(model.clip_norm),
      state_planes_(dense_state_width(model.optimizer.kind, model.optimizer.momentum, 1)),
      stream_(stream),
      weights_(layout.size()),
      gradient_(layout.size()),
      state_(layout.size() * state_planes_),
      average_(model.average_decay > 0 ? layout.size() : 0) {
  cuda::zero(gradient_.data(), gradient_.size(), stream);  // the padding is read with the rest
  if (!cuda::is_half(precision_)) return;
  halves_ = cuda::DeviceBuffer<std::uint16_t>(layout.size());
  average_halves_ = cuda::DeviceBuffer<std::uint16_t>(average_.size());
}

void DenseArrays::put(std::span<const float> host, float* device) {
  std::vector<float> padded(static_cast<std::size_t>(size()));
  layout_.pad(host, padded);
  cuda::copy_to_device(device, padded.data(), size(), stream_);
  stream_.wait();
}

void DenseArrays::fetch(const float* device, std::span<float> host) {
  std::vector<float> padded(static_cast<std::size_t>(size()));
  cuda::copy_to_host(padded.data(), device, size(), stream_);
  stream_.wait();
  layout_.unpad(padded, host);
}

void DenseArrays::round() {
  if (cuda::is_half(precision_)) cuda::round_to_half(precision_, weights_.data(), size(), halves_.data(), stream_);
}

void DenseArrays::upload_weights(std::span<const float> weights) {
  put(weights, weights_.data());
  round();
}

void DenseArrays::upload(const HostParameters& from) {
  upload_weights(from.weights);
  for (std::int64_t plane = 0; plane < state_planes_; ++plane)
    put(from.state.subspan(static_cast<std::size_t>(plane) * from.weights.size(), from.weights.size()),
        state_.data() + plane * size());
  if (average_.size() > 0) put(from.average, average_.data());
}

void DenseArrays::download(const HostParameters& to) {
  fetch(weights_.data(), to.weights);
  for (std::int64_t plane = 0; plane < state_planes_; ++plane)
    fetch(state_.data() + plane * size(),
          to.state.subspan(static_cast<std::size_t>(plane) * to.weights.size(), to.weights.size()));
  if (average_.size() > 0) fetch(average_.data(), to.average);
}

void DenseArrays::download_gradient(std::span<float> gradient) { fetch(gradient_.data(), gradient); }

DeviceParameterViews DenseArrays::averaged_views() {
  if (cuda::is_half(precision_))
    cuda::round_to_half(precision_, average_.data(), size(), average_halves_.data(), stream_);
  return {average_.data(), average_halves_.data(), nullptr};
}

void DenseArrays::update(const cuda::StepFacts* facts, const double* squares) {
  cuda::update_dense({.count = size(),
                      .weights = weights_.data(),
                      .gradient = gradient_.data(),
                      .state = state_.data(),
                      .average = average_.size() > 0 ? average_.data() : nullptr,
                      .facts = facts,
                      .squares = squares,
                      .clip_norm = clip_norm_},
                     stream_);
  round();
}

}  // namespace swallowtail
