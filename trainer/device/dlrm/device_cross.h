// DCN-v2's cross network on the device: cuBLAS products with kernels/cuda/cross.h around them. In 16-bit precisions x
// and V x enter the products with 16 bits, and so do the gradients that come back; x itself, sums and biases are fp32.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/cuda/cross.h"
#include "trainer/device/dlrm/device_mlp.h"

namespace swallowtail {

class DeviceCross {
 public:
  DeviceCross(std::vector<NetworkCross> layers, cuda::Precision precision);

  std::int64_t width() const noexcept { return layers_.front().v.in; }  // of all matrices below
  void reserve(std::int64_t rows);

  /// x0 [rows, width()], zeros in the padding. The workspace has room for width() columns.
  void forward(std::int64_t rows, const float* x0, const DeviceParameterViews& parameters, DeviceWorkspace& workspace,
               cuda::Stream& stream);
  const float* output() const noexcept { return is_half() ? out_.data() : kept_.back().out.data(); }  // of forward()
  /// After forward() of the same x0. `gradient` [rows, width()] is the output's; what it becomes and x0_gradient() are
  /// the two parts of that of x0. Overwrites the parameters' gradient.
  void backward(std::int64_t rows, const float* x0, const DeviceParameterViews& parameters, float* gradient,
                DeviceWorkspace& workspace, cuda::Stream& stream);
  float* x0_gradient() noexcept { return x0_gradient_.data(); }  // [rows, width()]

 private:
  struct Kept {                                       // of a layer's forward pass, for its backward
    cuda::DeviceBuffer<float> product, inner, out;    // U (V x), V x, the layer's output; the last two in fp32 and tf32
    cuda::DeviceBuffer<std::uint16_t> x, half_inner;  // in 16-bit precisions
  };
  bool is_half() const noexcept { return cuda::is_half(precision_); }
  const void* entering(std::size_t layer, const float* x0) const;

  std::vector<NetworkCross> layers_;
  cuda::Precision precision_;
  std::vector<Kept> kept_;
  cuda::DeviceBuffer<float> out_;  // in 16-bit precisions: x, layer after layer
  cuda::DeviceBuffer<float> x0_gradient_;
  cuda::CrossScratch scratch_;
};

}  // namespace swallowtail
