// An MLP on the device: cuBLAS products with one pass of ours between them. In 16-bit precisions activations, weights
// and gradients enter the products with 16 bits and sums are fp32.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cuda/activation.h"
#include "kernels/cuda/gemm.h"
#include "trainer/device/dlrm_network.h"

namespace swallowtail {

/// Flat arrays of the padded parameters; `halves` are the weights rounded, in 16-bit precisions.
struct DeviceParameterViews {
  const float* weights = nullptr;
  const void* halves = nullptr;
  float* gradient = nullptr;
};

/// A layer's weights [out, in] as a product takes them.
cuda::Matrix weights_of(const NetworkLayer& layer, const DeviceParameterViews& parameters, cuda::Precision precision,
                        bool transposed = false);

/// What the networks of one device share: the products, and room for sums and gradients.
struct DeviceWorkspace {
  explicit DeviceWorkspace(cuda::Stream& stream) : gemm(stream) {}
  cuda::Gemm gemm;
  cuda::DeviceBuffer<float> sums;          // [rows, widest]
  cuda::DeviceBuffer<float> gradients[2];  // of activations, taking turns
  cuda::DeviceBuffer<std::uint16_t> half_gradient;
  cuda::ActivationScratch activation;
};

class DeviceMlp {
 public:
  struct Options {
    bool relu_last = false;
    std::int64_t outer_columns = 0;  // of the output, where it is written beside other things; fp32
    cuda::Precision precision = cuda::Precision::fp32;
    double dropout = 0;
    std::uint64_t seed = 0, dropout_layer = 0;
  };
  DeviceMlp(std::vector<NetworkLayer> layers, const Options& options);

  std::int64_t inputs() const noexcept { return layers_.front().in; }
  std::int64_t outputs() const noexcept { return layers_.back().out; }
  std::int64_t widest() const noexcept;
  void reserve(std::int64_t rows);

  /// x [rows, inputs()], in 16-bit precisions halves; out fp32. `training`: with dropout.
  void forward(std::int64_t rows, const void* x, const DeviceParameterViews& parameters, const cuda::StepFacts* facts,
               bool training, const cuda::Activations& out, DeviceWorkspace& workspace, cuda::Stream& stream);
  /// After forward with the same x and out. gradient [rows, outer_columns] fp32; x_gradient [rows, inputs()] fp32, or
  /// null. Overwrites the parameters' gradient.
  void backward(std::int64_t rows, const void* x, const DeviceParameterViews& parameters, const cuda::Activations& out,
                const float* gradient, std::int64_t gradient_stride, float* x_gradient, DeviceWorkspace& workspace,
                cuda::Stream& stream);

 private:
  cuda::Layer shape(std::size_t layer, std::int64_t rows, bool training) const;
  cuda::Activations hidden(std::size_t layer) const;

  std::vector<NetworkLayer> layers_;
  Options options_;
  std::vector<cuda::DeviceBuffer<std::byte>> outputs_;  // of all layers but the last
};

}  // namespace swallowtail
