#include "kernels/cuda/cross.cuh"

#include <algorithm>

namespace swallowtail::cuda {

void cross_forward(const CrossShape& shape, const float* x0, const float* x, const float* h, const float* bias,
                   float* y, Stream& stream) {
  if (shape.batch == 0 || shape.dim == 0) return;
  const CrossFrame frame(shape);
  launch<kBlockThreads>({std::min(divide_up(shape.batch, frame.groups()), kMaxBlocks), frame.column_blocks()}, 0,
                        stream, CrossForward{frame, x0, x, h, bias, y});
}

void cross_backward(const CrossShape& shape, const float* x0, const float* h, const float* bias, const float* grad_y,
                    const CrossGradients& gradients, CrossScratch& scratch, Stream& stream) {
  if (shape.dim == 0) return;
  if (shape.batch == 0) return zero(gradients.grad_bias, shape.dim, stream);
  const CrossFrame frame(shape);
  const std::int64_t piece = std::max(kCrossPiece, divide_up(shape.batch, 256)), pieces = divide_up(shape.batch, piece);
  scratch.partial_sums.reserve(pieces * shape.dim);
  launch<kBlockThreads>({divide_up(pieces, frame.groups()), frame.column_blocks()}, 0, stream,
                        CrossBackward{frame, piece, x0, h, bias, grad_y, gradients.grad_h, gradients.grad_x0,
                                      scratch.partial_sums.data()});
  launch<kBlockThreads>(grid_for(shape.dim), 0, stream,
                        AddRows{scratch.partial_sums.data(), gradients.grad_bias, pieces, shape.dim});
}

}  // namespace swallowtail::cuda
