// The dense parameters on the device: weights, gradient, optimizer state, average and, in 16-bit precisions, the
// rounded weights, each one flat padded array.
#pragma once

#include <span>

#include "trainer/device/device_trainer.h"
#include "trainer/device/dlrm/device_mlp.h"
#include "trainer/device/padded_parameters.h"

namespace swallowtail {

class DenseArrays {
 public:
  DenseArrays(const PaddedParameters& layout, const DeviceModel& model, cuda::Stream& stream);

  void upload_weights(std::span<const float> weights);
  void upload(const HostParameters& from);
  void download(const HostParameters& to);
  void download_gradient(std::span<float> gradient);

  std::int64_t size() const noexcept { return layout_.size(); }
  DeviceParameterViews views() { return {weights_.data(), halves_.data(), gradient_.data()}; }
  /// Of the averaged weights; gradients are not asked for.
  DeviceParameterViews averaged_views();
  const float* gradient() const noexcept { return gradient_.data(); }
  float* gradient() noexcept { return gradient_.data(); }
  /// squares: of the gradient, or null (cuda::DenseUpdate).
  void update(const cuda::StepFacts* facts, const double* squares);

 private:
  void put(std::span<const float> host, float* device);
  void fetch(const float* device, std::span<float> host);
  void round();

  const PaddedParameters& layout_;
  cuda::Precision precision_;
  double clip_norm_;
  std::int64_t state_planes_;  // floats of state a parameter
  cuda::Stream& stream_;
  cuda::DeviceBuffer<float> weights_, gradient_, state_, average_;
  cuda::DeviceBuffer<std::uint16_t> halves_, average_halves_;
};

}  // namespace swallowtail
