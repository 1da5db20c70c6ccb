// The vector parts of DCN-v2's low-rank cross layer on the device: the meaning of kernels/cross.h. All pointers are
// device memory, 16-byte aligned; calls return at once. The matrix products are gemm.h's.
#pragma once

#include <cstdint>

#include "kernels/cross.h"
#include "kernels/cuda/device.h"

namespace swallowtail::cuda {

/// y [B, D] = x0 * (h + bias) + x, the host's bits; y may be x or h.
/// Cost  16 bytes an element (12 read, 4 written); bound by memory: B = 65,536, D = 3,456 move 3.6 GB.
void cross_forward(const CrossShape& shape, const float* x0, const float* x, const float* h, const float* bias,
                   float* y, Stream& stream);

struct CrossScratch {
  DeviceBuffer<float> partial_sums;
};

/// grad_h and grad_x0 with the host's bits. grad_bias adds the samples in up to 256 pieces, and the pieces in their
/// order: always the same bits, and the host's up to kCrossPiece samples.
/// Cost  24 bytes an element: grad_y, x0, h and grad_x0 read, grad_h and grad_x0 written, the bias's sums on the way.
void cross_backward(const CrossShape& shape, const float* x0, const float* h, const float* bias, const float* grad_y,
                    const CrossGradients& gradients, CrossScratch& scratch, Stream& stream);
inline constexpr std::int64_t kCrossPiece = 64;

}  // namespace swallowtail::cuda
