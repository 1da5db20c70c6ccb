#include "kernels/cross.h"

#include <algorithm>

#include "kernels/cpu/cross_kernels.h"
#include "kernels/cpu/variants.h"

#include "kernels/cpu/cross_body.h"

namespace swallowtail {

namespace cpu {

const CrossFamily& cross_scalar() { return kFamily; }

}  // namespace cpu

namespace {

const cpu::CrossFamily& family() { return cpu::of_active_isa(cpu::cross_scalar, cpu::cross_avx2, cpu::cross_avx512); }

}  // namespace

void cross_forward(const CrossShape& shape, const float* x0, const float* x, const float* h, const float* bias,
                   float* y) {
  family().forward(shape, x0, x, h, bias, y);
}

void cross_backward(const CrossShape& shape, const float* x0, const float* h, const float* bias, const float* grad_y,
                    const CrossGradients& gradients) {
  family().backward(shape, x0, h, bias, grad_y, gradients);
}

}  // namespace swallowtail
