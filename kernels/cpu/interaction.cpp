#include "kernels/interaction.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/interaction_kernels.h"
#include "kernels/cpu/variants.h"

namespace swallowtail {

namespace cpu {

namespace {

float dot(const float* a, const float* b, std::int64_t dim) noexcept {
  float sum = 0;
  for (std::int64_t d = 0; d < dim; ++d) sum = std::fma(a[d], b[d], sum);
  return sum;
}

void forward(const InteractionShape& shape, std::span<const float* const> vectors, float* out) {
  const auto features = static_cast<std::int64_t>(vectors.size());
  const std::int64_t dim = shape.dim, stride = interaction_stride(features, shape);
#pragma omp parallel for schedule(static) if (shape.batch >= 128)
  for (std::int64_t sample = 0; sample < shape.batch; ++sample) {
    float* to = out + sample * stride;
    if (shape.concatenate) to = std::copy_n(vectors[0] + sample * dim, dim, to);
    for (std::int64_t i = 0; i < features; ++i)
      for (std::int64_t j = 0; j < i + (shape.itself ? 1 : 0); ++j)
        *to++ = dot(vectors[i] + sample * dim, vectors[j] + sample * dim, dim);
  }
}

void backward(const InteractionShape& shape, std::span<const float* const> vectors, const float* grad_out,
              std::span<float* const> grad_vectors) {
  const auto features = static_cast<std::int64_t>(vectors.size());
  const std::int64_t dim = shape.dim, stride = interaction_stride(features, shape);
#pragma omp parallel for schedule(static) if (shape.batch >= 128)
  for (std::int64_t sample = 0; sample < shape.batch; ++sample) {
    const float* pairs = grad_out + sample * stride + (shape.concatenate ? dim : 0);
    const auto pair_gradient = [&](std::int64_t i, std::int64_t j) {
      if (i == j) return shape.itself ? 2 * pairs[interaction_pairs(i, true) + i] : 0.0F;
      return pairs[interaction_pairs(std::max(i, j), shape.itself) + std::min(i, j)];
    };
    for (std::int64_t i = 0; i < features; ++i)
      for (std::int64_t d = 0; d < dim; ++d) {
        float sum = i == 0 && shape.concatenate ? grad_out[sample * stride + d] : 0.0F;
        for (std::int64_t j = 0; j < features; ++j)
          sum = std::fma(pair_gradient(i, j), vectors[j][sample * dim + d], sum);
        grad_vectors[i][sample * dim + d] = sum;
      }
  }
}

}  // namespace

const InteractionFamily& interaction_scalar() {
  static constexpr InteractionFamily kFamily{forward, backward};
  return kFamily;
}

}  // namespace cpu

namespace {

const cpu::InteractionFamily& family() {
  return cpu::of_active_isa(cpu::interaction_scalar, cpu::interaction_avx2, cpu::interaction_avx512);
}

}  // namespace

std::int64_t interaction_pairs(std::int64_t features, bool itself) noexcept {
  return itself ? features * (features + 1) / 2 : features * (features - 1) / 2;
}

std::int64_t interaction_width(std::int64_t features, const InteractionShape& shape) noexcept {
  return interaction_pairs(features, shape.itself) + (shape.concatenate ? shape.dim : 0);
}

void dot_interaction_forward(const InteractionShape& shape, std::span<const float* const> vectors, float* out) {
  family().forward(shape, vectors, out);
}

void dot_interaction_backward(const InteractionShape& shape, std::span<const float* const> vectors,
                              const float* grad_out, std::span<float* const> grad_vectors) {
  family().backward(shape, vectors, grad_out, grad_vectors);
}

}  // namespace swallowtail
