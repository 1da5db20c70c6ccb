#include "kernels/interaction.h"

#include <algorithm>
#include <vector>

namespace swallowtail {

namespace {

constexpr std::int64_t kLanes = 8;

float dot(const float* a, const float* b, std::int64_t dim) noexcept {
  float lane[kLanes] = {};
  std::int64_t d = 0;
  for (; d + kLanes <= dim; d += kLanes)
    for (std::int64_t k = 0; k < kLanes; ++k) lane[k] += a[d + k] * b[d + k];
  for (std::int64_t k = 0; d + k < dim; ++k) lane[k] += a[d + k] * b[d + k];
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

void add_scaled(float scale, const float* from, std::int64_t dim, float* to) noexcept {
  for (std::int64_t d = 0; d < dim; ++d) to[d] += scale * from[d];
}

}  // namespace

std::int64_t interaction_pairs(std::int64_t features, bool itself) noexcept {
  return itself ? features * (features + 1) / 2 : features * (features - 1) / 2;
}

std::int64_t interaction_width(std::int64_t features, const InteractionShape& shape) noexcept {
  return interaction_pairs(features, shape.itself) + (shape.concatenate ? shape.dim : 0);
}

void dot_interaction_forward(const InteractionShape& shape, std::span<const float* const> vectors, float* out) {
  const auto features = static_cast<std::int64_t>(vectors.size());
  const std::int64_t dim = shape.dim, width = interaction_width(features, shape);
#pragma omp parallel for schedule(static) if (shape.batch >= 128)
  for (std::int64_t sample = 0; sample < shape.batch; ++sample) {
    float* to = out + sample * width;
    if (shape.concatenate) to = std::copy_n(vectors[0] + sample * dim, dim, to);
    for (std::int64_t i = 0; i < features; ++i)
      for (std::int64_t j = 0; j < i + (shape.itself ? 1 : 0); ++j)
        *to++ = dot(vectors[i] + sample * dim, vectors[j] + sample * dim, dim);
  }
}

void dot_interaction_backward(const InteractionShape& shape, std::span<const float* const> vectors,
                              const float* grad_out, std::span<float* const> grad_vectors) {
  const auto features = static_cast<std::int64_t>(vectors.size());
  const std::int64_t dim = shape.dim, width = interaction_width(features, shape);
#pragma omp parallel for schedule(static) if (shape.batch >= 128)
  for (std::int64_t sample = 0; sample < shape.batch; ++sample) {
    const float* from = grad_out + sample * width;
    const std::int64_t at = sample * dim;
    for (std::int64_t i = 0; i < features; ++i) std::fill_n(grad_vectors[i] + at, dim, 0.0F);
    if (shape.concatenate) {
      std::copy_n(from, dim, grad_vectors[0] + at);
      from += dim;
    }
    for (std::int64_t i = 0; i < features; ++i)
      for (std::int64_t j = 0; j < i + (shape.itself ? 1 : 0); ++j) {
        const float gradient = *from++;
        add_scaled(gradient, vectors[j] + at, dim, grad_vectors[i] + at);
        add_scaled(gradient, vectors[i] + at, dim, grad_vectors[j] + at);  // i == j: both halves of d(x·x) = 2x
      }
  }
}

}  // namespace swallowtail
