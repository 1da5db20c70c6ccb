// The cross layer of DCN-v2 in its low-rank form, apart from its two matrix products, which are the library's:
//   p = x V            [B, R]   (the caller's GEMM; V [D, R])
//   h = p U^T          [B, D]   (the caller's GEMM; U [D, R])
//   y = x0 * (h + b) + x
// What lies around the products is fused here into one pass over memory each way. The full-rank layer is the same with
// h = x W^T. Elementwise, so every instruction set and number of threads gives the same bits.
// Source: Wang et al., WWW 2021, arXiv:2008.13535, sections 3.2 and 3.3.
#pragma once

#include <cstdint>

namespace swallowtail {

struct CrossShape {
  std::int64_t batch, dim;  // B, D
};

/// y [B, D] = x0 * (h + bias) + x; bias [D], the others [B, D]. y may be x or h.
void cross_forward(const CrossShape& shape, const float* x0, const float* x, const float* h, const float* bias,
                   float* y);

struct CrossGradients {  // all but grad_bias [B, D]
  float* grad_h;         // overwritten: grad_y * x0, what goes back through the products
  float* grad_x0;        // added to: grad_y * (h + bias), one share for each layer above the first vector
  float* grad_bias;      // [D], overwritten: sum over the batch of grad_h, added in the order of the samples
};

/// grad_x is grad_y plus what comes back through the products; that addition is the caller's GEMM's (beta = 1).
void cross_backward(const CrossShape& shape, const float* x0, const float* h, const float* bias, const float* grad_y,
                    const CrossGradients& gradients);

}  // namespace swallowtail
