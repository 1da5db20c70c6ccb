#include "trainer/device/dlrm/device_mlp.h"

#include <algorithm>

namespace swallowtail {

using cuda::Activations;
using cuda::Matrix;

DeviceMlp::DeviceMlp(std::vector<NetworkLayer> layers, const Options& options)
    : layers_(std::move(layers)), options_(options), outputs_(layers_.size() - 1) {
  if (options_.outer_columns == 0) options_.outer_columns = outputs();
}

std::int64_t DeviceMlp::widest() const noexcept {
  std::int64_t most = inputs();
  for (const NetworkLayer& layer : layers_) most = std::max(most, layer.out);
  return most;
}

void DeviceMlp::reserve(std::int64_t rows) {
  for (std::size_t i = 0; i < outputs_.size(); ++i)
    outputs_[i].reserve(rows * layers_[i].out * cuda::element_bytes(options_.precision));
}

cuda::Layer DeviceMlp::shape(std::size_t layer, std::int64_t rows, bool training) const {
  const bool is_last = layer + 1 == layers_.size(), relu = !is_last || options_.relu_last;
  return {rows,
          layers_[layer].out,
          is_last ? options_.outer_columns : layers_[layer].out,
          relu,
          {training && relu ? options_.dropout : 0, options_.seed, options_.dropout_layer + layer}};
}

Matrix weights_of(const NetworkLayer& layer, const DeviceParameterViews& parameters, cuda::Precision precision,
                  bool transposed) {
  if (cuda::is_half(precision))
    return {static_cast<const std::uint16_t*>(parameters.halves) + layer.weight, layer.in, transposed};
  return {parameters.weights + layer.weight, layer.in, transposed};
}

Activations DeviceMlp::hidden(std::size_t layer) const {
  const auto stored = cuda::is_half(options_.precision) ? options_.precision : cuda::Precision::fp32;
  return {outputs_[layer].data(), layers_[layer].out, stored};
}

void DeviceMlp::forward(std::int64_t rows, const void* x, const DeviceParameterViews& parameters,
                        const cuda::StepFacts* facts, bool training, const Activations& out, DeviceWorkspace& workspace,
                        cuda::Stream& stream) {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const NetworkLayer& layer = layers_[i];
    workspace.gemm.multiply(options_.precision, {rows, layer.out, layer.in}, {x, layer.in},
                            weights_of(layer, parameters, options_.precision, true), workspace.sums.data(), layer.out);
    const Activations to = i + 1 == layers_.size() ? out : hidden(i);
    cuda::activate(shape(i, rows, training), workspace.sums.data(), parameters.weights + layer.bias, facts, to, stream);
    x = to.data;
  }
}

void DeviceMlp::backward(std::int64_t rows, const void* x, const DeviceParameterViews& parameters,
                         const Activations& out, const float* gradient, std::int64_t gradient_stride, float* x_gradient,
                         DeviceWorkspace& workspace, cuda::Stream& stream) {
  const bool half = cuda::is_half(options_.precision);
  for (std::size_t i = layers_.size(); i-- > 0;) {
    const NetworkLayer& layer = layers_[i];
    float* const turn = workspace.gradients[i % 2].data();
    const Activations inner{half ? static_cast<void*>(workspace.half_gradient.data()) : turn, layer.out,
                            half ? options_.precision : cuda::Precision::fp32};
    cuda::activate_backward(shape(i, rows, true), gradient, gradient_stride, i + 1 == layers_.size() ? out : hidden(i),
                            inner, parameters.gradient + layer.bias, workspace.activation, stream);
    const void* const from = i == 0 ? x : outputs_[i - 1].data();
    workspace.gemm.multiply(options_.precision, {layer.out, layer.in, rows}, {inner.data, layer.out, true},
                            {from, layer.in}, parameters.gradient + layer.weight, layer.in);
    float* const to = i == 0 ? x_gradient : workspace.gradients[(i + 1) % 2].data();
    if (to == nullptr) return;
    workspace.gemm.multiply(options_.precision, {rows, layer.in, layer.out}, {inner.data, layer.out},
                            weights_of(layer, parameters, options_.precision), to, layer.in);
    gradient = to;
    gradient_stride = layer.in;
  }
}

}  // namespace swallowtail
