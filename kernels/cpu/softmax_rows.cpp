#include "kernels/softmax_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/softmax_rows_kernels.h"
#include "kernels/cpu/variants.h"

#include "kernels/cpu/softmax_rows_body.h"

namespace swallowtail {

const cpu::SoftmaxFamily& cpu::softmax_rows_scalar() { return kFamily; }

void softmax_cross_entropy(std::int64_t rows, std::int64_t width, const std::int64_t* targets, float* logits,
                           float* losses) {
  const auto& family = cpu::of_active_isa(cpu::softmax_rows_scalar, cpu::softmax_rows_avx2, cpu::softmax_rows_avx512);
#pragma omp parallel for schedule(static) if (rows * width >= 1 << 14)
  for (std::int64_t r = 0; r < rows; ++r) losses[r] = family.row(width, targets[r], logits + r * width);
}

void softmax_cross_entropy(std::int64_t rows, std::int64_t width, const std::int64_t* targets, double* logits,
                           double* losses) {
  for (std::int64_t r = 0; r < rows; ++r) {
    double* const row = logits + r * width;
    const double largest = *std::max_element(row, row + width), own = row[targets[r]];
    double sum = 0;
    for (std::int64_t i = 0; i < width; ++i) sum += row[i] = std::exp(row[i] - largest);
    for (std::int64_t i = 0; i < width; ++i) row[i] /= sum;
    row[targets[r]] -= 1;
    losses[r] = std::log(sum) + (largest - own);
  }
}

}  // namespace swallowtail
