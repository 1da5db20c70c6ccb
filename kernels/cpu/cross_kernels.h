// The variants of the cross layer's passes: cross.h says what they mean.
#pragma once

#include "kernels/cross.h"

namespace swallowtail::cpu {

struct CrossFamily {
  void (*forward)(const CrossShape& shape, const float* x0, const float* x, const float* h, const float* bias,
                  float* y);
  void (*backward)(const CrossShape& shape, const float* x0, const float* h, const float* bias, const float* grad_y,
                   const CrossGradients& gradients);
};

const CrossFamily& cross_scalar();
const CrossFamily& cross_avx2();
const CrossFamily& cross_avx512();

}  // namespace swallowtail::cpu
