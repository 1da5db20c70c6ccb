// What stands between the matrix products of an MLP, one pass each: bias, ReLU and dropout behind a product; ReLU's
// backward with the bias gradient before the next. All pointers are device memory; calls return at once.
// Columns are those of a padded layer: a multiple of 4, the padding zero in weights and bias, so that it stays zero.
#pragma once

#include <cstdint>

#include "kernels/cuda/device.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/step_facts.h"

namespace swallowtail::cuda {

/// A matrix of activations: fp32, or 16 bits where the precision has them.
struct Activations {
  void* data = nullptr;
  std::int64_t stride = 0;
  Precision precision = Precision::fp32;
};

struct Dropout {
  double probability = 0;             // 0: off
  std::uint64_t seed = 0, layer = 0;  // with the facts' step and first sample: the key, as in kernels/dropout.h
  float keep() const noexcept { return static_cast<float>(1.0 / (1.0 - probability)); }
};

struct Layer {
  std::int64_t rows = 0, columns = 0;
  std::int64_t outer_columns = 0;  // that `out` (forward) or `gradient` and `out` (backward) have beside other things
  bool relu = true;
  Dropout dropout;
};

/// out = dropout(relu(sums + bias)); NaN stays NaN. sums [rows, columns] fp32, as the product left them.
void activate(const Layer& layer, const float* sums, const float* bias, const StepFacts* facts, const Activations& out,
              Stream& stream);

/// What the backward keeps between calls.
struct ActivationScratch {
  DeviceBuffer<float> partial_sums;
};

/// inner = gradient where out > 0, times dropout's factor; without ReLU the gradient itself.
/// gradient       [rows, outer_columns] fp32, of the layer's output `out`; columns behind them count as zeros
/// inner          [rows, columns], may be where `gradient` is
/// bias_gradient  [columns], overwritten: the sum over rows, from pieces of 256 rows in their order, so always the same
///                bits
void activate_backward(const Layer& layer, const float* gradient, std::int64_t gradient_stride, const Activations& out,
                       const Activations& inner, float* bias_gradient, ActivationScratch& scratch, Stream& stream);

struct Extent {
  std::int64_t rows = 0, columns = 0;
};
struct Strided {
  float* data = nullptr;
  std::int64_t stride = 0;
};
/// to[r, c] = from[r, c]
void copy_columns(const Extent& extent, const Strided& from, const Strided& to, Stream& stream);
/// to[r, c] = a[r, c] + b[r, c]
void sum_columns(const Extent& extent, const Strided& a, const Strided& b, const Strided& to, Stream& stream);

}  // namespace swallowtail::cuda
