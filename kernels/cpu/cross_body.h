// The cross layer's passes as plain loops, which the compiler widens to the instruction set under which this is
// included. Columns are divided among threads in backward, so that each column of the bias adds its samples in order.
#pragma once

namespace swallowtail::cpu {
namespace {

constexpr std::int64_t kColumns = 256;  // of a block: its sums stay in the first-level cache

void forward(const CrossShape& shape, const float* x0, const float* x, const float* h, const float* bias, float* y) {
#pragma omp parallel for schedule(static) if (shape.batch * shape.dim >= 65536)
  for (std::int64_t sample = 0; sample < shape.batch; ++sample) {
    const std::int64_t at = sample * shape.dim;
#pragma omp simd
    for (std::int64_t d = 0; d < shape.dim; ++d) y[at + d] = x0[at + d] * (h[at + d] + bias[d]) + x[at + d];
  }
}

void backward(const CrossShape& shape, const float* x0, const float* h, const float* bias, const float* grad_y,
              const CrossGradients& gradients) {
#pragma omp parallel for schedule(static) if (shape.batch * shape.dim >= 65536)
  for (std::int64_t first = 0; first < shape.dim; first += kColumns) {
    const std::int64_t end = std::min(shape.dim, first + kColumns);
    std::fill(gradients.grad_bias + first, gradients.grad_bias + end, 0.0F);
    for (std::int64_t sample = 0; sample < shape.batch; ++sample) {
      const std::int64_t at = sample * shape.dim;
#pragma omp simd
      for (std::int64_t d = first; d < end; ++d) {
        const float through = grad_y[at + d] * x0[at + d];
        gradients.grad_h[at + d] = through;
        gradients.grad_x0[at + d] += grad_y[at + d] * (h[at + d] + bias[d]);
        gradients.grad_bias[d] += through;
      }
    }
  }
}

constexpr CrossFamily kFamily{forward, backward};

}  // namespace
}  // namespace swallowtail::cpu
