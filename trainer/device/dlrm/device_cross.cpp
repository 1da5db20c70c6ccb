#include "trainer/device/dlrm/device_cross.h"

#include <utility>

#include "kernels/cuda/dense_update.h"

namespace swallowtail {

DeviceCross::DeviceCross(std::vector<NetworkCross> layers, cuda::Precision precision)
    : layers_(std::move(layers)), precision_(precision), kept_(layers_.size()) {}

void DeviceCross::reserve(std::int64_t rows) {
  const std::int64_t rank = layers_.front().v.out;
  for (Kept& kept : kept_) {
    kept.product.reserve(rows * width());
    if (is_half()) {
      kept.x.reserve(rows * width());
      kept.half_inner.reserve(rows * rank);
    } else {
      kept.inner.reserve(rows * rank);
      kept.out.reserve(rows * width());
    }
  }
  if (is_half()) out_.reserve(rows * width());
  x0_gradient_.reserve(rows * width());
}

const void* DeviceCross::entering(std::size_t layer, const float* x0) const {
  if (is_half()) return kept_[layer].x.data();
  return layer == 0 ? x0 : kept_[layer - 1].out.data();
}

void DeviceCross::forward(std::int64_t rows, const float* x0, const DeviceParameterViews& parameters,
                          DeviceWorkspace& workspace, cuda::Stream& stream) {
  const bool half = is_half();
  const float* x = x0;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const auto& [v, u] = layers_[i];
    Kept& kept = kept_[i];
    if (half) cuda::round_to_half(precision_, x, rows * width(), kept.x.data(), stream);
    float* const inner = half ? workspace.sums.data() : kept.inner.data();
    workspace.gemm.multiply(precision_, {rows, v.out, v.in}, {entering(i, x0), v.in},
                            weights_of(v, parameters, precision_, true), inner, v.out);
    const void* multiplied = inner;
    if (half) {
      cuda::round_to_half(precision_, inner, rows * v.out, kept.half_inner.data(), stream);
      multiplied = kept.half_inner.data();
    }
    workspace.gemm.multiply(precision_, {rows, u.out, u.in}, {multiplied, u.in},
                            weights_of(u, parameters, precision_, true), kept.product.data(), u.out);
    float* const y = half ? out_.data() : kept.out.data();
    cuda::cross_forward({rows, width()}, x0, x, kept.product.data(), parameters.weights + u.bias, y, stream);
    x = y;
  }
}

void DeviceCross::backward(std::int64_t rows, const float* x0, const DeviceParameterViews& parameters, float* gradient,
                           DeviceWorkspace& workspace, cuda::Stream& stream) {
  const bool half = is_half();
  float *const product_gradient = workspace.gradients[0].data(), *const inner_gradient = workspace.gradients[1].data();
  const auto multiplied = [&](const float* of, std::int64_t columns) -> const void* {
    if (!half) return of;
    cuda::round_to_half(precision_, of, rows * columns, workspace.half_gradient.data(), stream);
    return workspace.half_gradient.data();
  };
  cuda::zero(x0_gradient_.data(), rows * width(), stream);
  for (std::size_t i = layers_.size(); i-- > 0;) {
    const auto& [v, u] = layers_[i];
    const Kept& kept = kept_[i];
    cuda::cross_backward({rows, width()}, x0, kept.product.data(), parameters.weights + u.bias, gradient,
                         {product_gradient, x0_gradient_.data(), parameters.gradient + u.bias}, scratch_, stream);
    const void* const of_product = multiplied(product_gradient, u.out);
    const void* const inner = half ? static_cast<const void*>(kept.half_inner.data()) : kept.inner.data();
    workspace.gemm.multiply(precision_, {u.out, u.in, rows}, {of_product, u.out, true}, {inner, u.in},
                            parameters.gradient + u.weight, u.in);
    workspace.gemm.multiply(precision_, {rows, u.in, u.out}, {of_product, u.out}, weights_of(u, parameters, precision_),
                            inner_gradient, u.in);
    const void* const of_inner = multiplied(inner_gradient, v.out);
    workspace.gemm.multiply(precision_, {v.out, v.in, rows}, {of_inner, v.out, true}, {entering(i, x0), v.in},
                            parameters.gradient + v.weight, v.in);
    workspace.gemm.multiply(precision_, {rows, v.in, v.out}, {of_inner, v.out}, weights_of(v, parameters, precision_),
                            gradient, v.in, /*add=*/true);
  }
}

}  // namespace swallowtail
