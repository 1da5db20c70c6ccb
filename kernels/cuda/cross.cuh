// The idea: a thread owns four columns and walks down samples, so that the bias stays in registers and the sum of its
// gradient needs no other thread. Rows narrower than a block share it: `lanes` threads a row.
#pragma once

#include "kernels/cuda/cross.h"
#include "kernels/cuda/row.cuh"

namespace swallowtail::cuda {

/// What a thread of a block does: columns 4 * quad … of the samples that begin at `first`, every `step`-th.
struct CrossFrame {
  std::int64_t batch;
  int dim, quads, lanes;  // lanes: a power of two up to kBlockThreads
  CrossFrame(const CrossShape& shape)
      : batch(shape.batch), dim(static_cast<int>(shape.dim)), quads((dim + 3) / 4), lanes(1) {
    while (lanes < quads && lanes < kBlockThreads) lanes *= 2;
  }
  std::int64_t column_blocks() const { return divide_up(quads, lanes); }
  int groups() const { return kBlockThreads / lanes; }

  __device__ bool aligned() const { return dim % 4 == 0; }
  __device__ int quad() const { return static_cast<int>(blockIdx.y) * lanes + static_cast<int>(threadIdx.x) % lanes; }
  __device__ std::int64_t group() const {
    return static_cast<std::int64_t>(blockIdx.x) * (kBlockThreads / lanes) + static_cast<int>(threadIdx.x) / lanes;
  }
  __device__ Quad load(const float* matrix, std::int64_t sample) const {
    return load_quad(matrix + sample * dim, quad(), dim, aligned());
  }
  __device__ void store(float* matrix, std::int64_t sample, const Quad& value) const {
    store_quad(matrix + sample * dim, quad(), dim, value, aligned());
  }
};

struct CrossForward {
  CrossFrame frame;
  const float *x0, *x, *h, *bias;
  float* y;

  __device__ void operator()(SharedMemory) const {
    if (frame.quad() >= frame.quads) return;
    const Quad b = frame.load(bias, 0);
    const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * (kBlockThreads / frame.lanes);
    for (std::int64_t sample = frame.group(); sample < frame.batch; sample += step) {
      const Quad first = frame.load(x0, sample), direct = frame.load(x, sample), through = frame.load(h, sample);
      Quad out;
      for (int k = 0; k < 4; ++k) out.at[k] = first.at[k] * (through.at[k] + b.at[k]) + direct.at[k];
      frame.store(y, sample, out);
    }
  }
};

/// A group of lanes makes the samples [group * piece, (group + 1) * piece), and their sum of grad_h.
struct CrossBackward {
  CrossFrame frame;
  std::int64_t piece;
  const float *x0, *h, *bias, *grad_y;
  float *grad_h, *grad_x0, *partial_sums;  // partial_sums [pieces, dim]

  __device__ void operator()(SharedMemory) const {
    const std::int64_t begin = frame.group() * piece;
    if (frame.quad() >= frame.quads || begin >= frame.batch) return;
    const std::int64_t end = begin + piece < frame.batch ? begin + piece : frame.batch;
    const Quad b = frame.load(bias, 0);
    Quad sum{};
    for (std::int64_t sample = begin; sample < end; ++sample) {
      const Quad gradient = frame.load(grad_y, sample), first = frame.load(x0, sample), through = frame.load(h, sample);
      Quad to_h, to_x0 = frame.load(grad_x0, sample);
      for (int k = 0; k < 4; ++k) {
        to_h.at[k] = gradient.at[k] * first.at[k];
        to_x0.at[k] += gradient.at[k] * (through.at[k] + b.at[k]);
        sum.at[k] += to_h.at[k];
      }
      frame.store(grad_h, sample, to_h);
      frame.store(grad_x0, sample, to_x0);
    }
    frame.store(partial_sums, frame.group(), sum);
  }
};

/// sums[column] of `pieces` rows, in their order; one thread a column, eight rows under way.
struct AddRows {
  const float* rows;  // [pieces, columns]
  float* sums;
  std::int64_t pieces, columns;

  __device__ void operator()(SharedMemory) const {
    constexpr int kInFlight = 8;
    for (std::int64_t column = first_item(); column < columns; column += item_stride()) {
      float sum = 0;
      std::int64_t piece = 0;
      for (; piece + kInFlight <= pieces; piece += kInFlight) {
        float from[kInFlight];
        SWALLOWTAIL_UNROLL
        for (int k = 0; k < kInFlight; ++k) from[k] = rows[(piece + k) * columns + column];
        SWALLOWTAIL_UNROLL
        for (int k = 0; k < kInFlight; ++k) sum += from[k];
      }
      for (; piece < pieces; ++piece) sum += rows[piece * columns + column];
      sums[column] = sum;
    }
  }
};

}  // namespace swallowtail::cuda
