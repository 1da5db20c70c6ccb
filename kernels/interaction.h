// Dot-product feature interaction of DLRM. F vectors a sample; out = [first vector | products of pairs].
// Pairs: the strictly lower triangle row by row, (1,0), (2,0), (2,1), (3,0), …; with `itself` the diagonal too: (0,0),
// (1,0), (1,1), …. Source: Naumov et al., arXiv:1906.00091, and its reference implementation's order.
// Each product is added column by column with fused multiply-adds, d = 0 … D - 1, so that every instruction set gives
// the same bits; a sample's output does not depend on its neighbours.
#pragma once

#include <cstdint>
#include <span>

namespace swallowtail {

struct InteractionShape {
  std::int64_t batch = 0;   // B
  std::int64_t dim = 0;     // D
  bool itself = false;      // the diagonal too
  bool concatenate = true;  // out begins with the first vector (the bottom MLP's)
  std::int64_t stride = 0;  // floats from sample to sample of out; 0: interaction_width
};

/// F(F-1)/2, or F(F+1)/2 with `itself`.
std::int64_t interaction_pairs(std::int64_t features, bool itself) noexcept;
/// Floats a sample of the output: pairs, and D more with `concatenate`.
std::int64_t interaction_width(std::int64_t features, const InteractionShape& shape) noexcept;

/// vectors  F pointers to [B, D] fp32 row-major
/// out      [B, stride] fp32; the first interaction_width of each are overwritten
void dot_interaction_forward(const InteractionShape& shape, std::span<const float* const> vectors, float* out);

/// grad_vectors[i] = grad_out's first D columns (i = 0, with `concatenate`) + sum over j = 0 … F - 1 of g_ij *
/// vectors[j], added in this order by fused multiply-adds; g_ij is the gradient of the pair (i, j), twice that for i =
/// j with `itself`, 0 for i = j without. grad_out      [B, stride] grad_vectors  F pointers to [B, D],
/// overwritten
void dot_interaction_backward(const InteractionShape& shape, std::span<const float* const> vectors,
                              const float* grad_out, std::span<float* const> grad_vectors);

}  // namespace swallowtail
