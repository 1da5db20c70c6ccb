// DLRM's dense part on the device: from dense features and pooled vectors to logits and loss, and back. The pooled
// vectors of a sample lie in one row, written by a table-batched lookup:
//   [linear terms, padded to 4 | bottom MLP's vector | one vector a table]
// and so do their gradients; the bottom MLP writes and reads its place there.
#pragma once

#include <cstdint>
#include <optional>

#include "kernels/cuda/click_loss.h"
#include "kernels/cuda/interaction.h"
#include "trainer/device/dlrm/device_cross.h"
#include "trainer/device/dlrm/device_mlp.h"
#include "trainer/device/padded_parameters.h"

namespace swallowtail {

struct DeviceBatch {  // device memory, of one part of a batch
  std::int64_t samples = 0;
  const float* dense = nullptr;  // [samples, padded_columns(dense)], zeros behind the features
  const float* labels = nullptr;
  const float* weights = nullptr;  // or null
};

class DeviceDlrm {
 public:
  /// linear_count: tables behind the network's vectors.
  DeviceDlrm(const PaddedParameters& parameters, std::int64_t dense_features, std::int64_t linear_count,
             cuda::Precision precision, std::uint64_t seed, cuda::Stream& stream);

  std::int64_t width() const noexcept { return width_; }  // floats of a row of the pooled vectors
  /// Where the vector of `table` begins in it.
  std::int64_t column_of(std::int64_t table) const noexcept;
  /// Room for so many samples. What was recorded into a graph before is void where it grows: then true.
  bool reserve(std::int64_t samples);

  float* pooled() noexcept { return pooled_.data(); }                    // [samples, width()]
  float* pooled_gradient() noexcept { return pooled_gradient_.data(); }  // alike
  float* logits() noexcept { return logits_.data(); }                    // [samples]

  void bottom(const DeviceBatch& batch, const DeviceParameterViews& parameters, const cuda::StepFacts* facts);
  /// After bottom() and the lookup.
  void forward(const DeviceBatch& batch, const DeviceParameterViews& parameters, const cuda::StepFacts* facts,
               bool training);
  /// *sum as cuda::click_loss.
  void loss(const cuda::ClickLoss& loss, const DeviceBatch& batch, const cuda::StepFacts* facts, double* sum);
  /// In place of loss(): gradients of the logits that the host has worked out, [samples] on the device.
  void take_gradient(const DeviceBatch& batch, const float* logit_gradient);
  /// Overwrites the parameters' gradient and pooled_gradient().
  void backward(const DeviceBatch& batch, const DeviceParameterViews& parameters);

 private:
  const void* dense_input(const DeviceBatch& batch);
  cuda::DotInteraction interaction(const cuda::DeviceBuffer<cuda::Vectors>& vectors, std::int64_t samples) const;
  cuda::LogitGradient logit_gradient();
  const float* top_input() const { return cross_ ? cross_->output() : crossed_.data(); }

  DlrmNetwork network_;
  std::int64_t dense_, linear_count_, linear_columns_, width_ = 0, crossed_columns_, room_ = 0;
  cuda::Precision precision_;
  cuda::Stream& stream_;
  std::optional<DeviceMlp> bottom_;
  std::optional<DeviceCross> cross_;
  DeviceMlp top_;
  DeviceWorkspace workspace_;
  cuda::DeviceBuffer<float> pooled_, pooled_gradient_, crossed_, crossed_gradient_, top_out_, top_gradient_, logits_;
  cuda::DeviceBuffer<std::uint16_t> half_dense_, half_crossed_;
  cuda::DeviceBuffer<cuda::Vectors> vectors_, gradient_vectors_;
  cuda::LossScratch loss_scratch_;
};

}  // namespace swallowtail
