// The variants of dot interaction: interaction.h says what they mean.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/interaction.h"

namespace swallowtail::cpu {

struct InteractionFamily {
  void (*forward)(const InteractionShape& shape, std::span<const float* const> vectors, float* out);
  void (*backward)(const InteractionShape& shape, std::span<const float* const> vectors, const float* grad_out,
                   std::span<float* const> grad_vectors);
};

inline std::int64_t interaction_stride(std::int64_t features, const InteractionShape& shape) noexcept {
  return shape.stride == 0 ? interaction_width(features, shape) : shape.stride;
}

const InteractionFamily& interaction_scalar();
const InteractionFamily& interaction_avx2();
const InteractionFamily& interaction_avx512();

}  // namespace swallowtail::cpu
