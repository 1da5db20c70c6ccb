// The idea, fp32: a sample's vectors are staged in shared memory, padded with zeros to multiples of four both ways. A
// thread makes a 4 x 4 tile of products: per four columns it loads 8 vectors of 16 bytes for 64 multiply-adds. With one
// product a thread, shared memory would move 2 floats a multiply-add and be the limit at F = 27, D = 128: about 2,800
// clocks a sample against 1,150 for its bytes from HBM; with tiles, 900. Columns are added in order by fused
// multiply-adds, which are the host's bits. Rows are dim + 4 floats apart, so eight rows' vectors hit different banks.
// Backward: grad = G V with the symmetric matrix G of the pairs' gradients; a thread makes 4 vectors' gradients at one
// column, and adds j = 0 … F - 1 in order.
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/interaction.h"

namespace swallowtail::cuda {

constexpr int kInteractionThreads = 128;

/// Row i of the lower triangle that holds `index`: i(i + 1)/2 <= index < (i + 1)(i + 2)/2.
__device__ inline int triangle_row(int index) {
  int row = static_cast<int>((sqrtf(8.0F * static_cast<float>(index) + 1.0F) - 1.0F) * 0.5F);
  while (row * (row + 1) / 2 > index) --row;
  while ((row + 1) * (row + 2) / 2 <= index) ++row;
  return row;
}

/// What forward and backward of both element types share.
struct InteractionFrame {
  std::int64_t batch, stride;
  const Vectors* vectors;
  int features, dim;
  bool itself, concatenate;

  InteractionFrame(const DotInteraction& of)
      : batch(of.shape.batch),
        stride(of.stride),
        vectors(of.vectors),
        features(static_cast<int>(of.features)),
        dim(static_cast<int>(of.shape.dim)),
        itself(of.shape.itself),
        concatenate(of.shape.concatenate) {}

  __device__ int begin_of_pairs() const { return concatenate ? dim : 0; }
  __device__ int pairs() const { return itself ? features * (features + 1) / 2 : features * (features - 1) / 2; }
  __device__ bool is_pair(int i, int j) const { return i < features && j < i + (itself ? 1 : 0); }
  __device__ int place_of(int i, int j) const { return begin_of_pairs() + (itself ? i * (i + 1) / 2 : i * (i - 1) / 2) + j; }
  /// Place of the gradient that vector j brings to vector i, or -1.
  __device__ int place_of_any(int i, int j) const {
    const int high = i > j ? i : j, low = i > j ? j : i;
    return is_pair(high, low) ? place_of(high, low) : -1;
  }
};

struct DotForward {
  InteractionFrame frame;
  float* out;
  int samples_a_block;

  static constexpr int padded(int count) { return (count + 3) / 4 * 4; }
  static int row_stride(int dim) { return padded(dim) + 4; }
  static std::int64_t shared_bytes(int features, int dim, int samples) {
    return shared_part<float>(static_cast<std::int64_t>(samples) * padded(features) * row_stride(dim));
  }

  __device__ void operator()(SharedMemory memory) const {
    const int rows = padded(frame.features), columns = padded(frame.dim), row = columns + 4, tile_rows = rows / 4;
    const int tiles = tile_rows * (tile_rows + 1) / 2;
    float* const staged = memory.take<float>(static_cast<std::int64_t>(samples_a_block) * rows * row);
    const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * samples_a_block;
    const int samples = static_cast<int>(frame.batch - first < samples_a_block ? frame.batch - first : samples_a_block);
    for (int k = static_cast<int>(threadIdx.x); k < samples * rows * columns; k += kInteractionThreads) {
      const int column = k % columns, i = k / columns % rows, s = k / columns / rows;
      staged[(s * rows + i) * row + column] = value(first + s, i, column);
    }
    __syncthreads();
    for (int k = static_cast<int>(threadIdx.x); k < samples * tiles; k += kInteractionThreads) {
      const int s = k / tiles, tile = k % tiles, ti = triangle_row(tile), tj = tile - ti * (ti + 1) / 2;
      multiply(staged + (s * rows + 4 * ti) * row, staged + (s * rows + 4 * tj) * row, row, 4 * ti, 4 * tj,
               out + (first + s) * frame.stride);
    }
    const int begin = frame.begin_of_pairs(), end = begin + frame.pairs();
    for (int s = 0; s < samples; ++s) {
      float* const to = out + (first + s) * frame.stride;
      for (int k = static_cast<int>(threadIdx.x); k < begin; k += kInteractionThreads) to[k] = staged[s * rows * row + k];
      for (int k = end + static_cast<int>(threadIdx.x); k < frame.stride; k += kInteractionThreads) to[k] = 0;
    }
  }

 private:
  __device__ float value(std::int64_t sample, int i, int column) const {
    if (i >= frame.features || column >= frame.dim) return 0;
    return static_cast<const float*>(frame.vectors[i].data)[sample * frame.vectors[i].stride + column];
  }

  __device__ void multiply(const float* a, const float* b, int row, int i0, int j0, float* to) const {
    float sum[4][4] = {};
    for (int d = 0; d < padded(frame.dim); d += 4) {
      float4 left[4], right[4];
      for (int r = 0; r < 4; ++r) {
        left[r] = load_vector<float4>(a + r * row + d);
        right[r] = load_vector<float4>(b + r * row + d);
      }
      for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) {
          sum[i][j] = fmaf(left[i].x, right[j].x, sum[i][j]);
          sum[i][j] = fmaf(left[i].y, right[j].y, sum[i][j]);
          sum[i][j] = fmaf(left[i].z, right[j].z, sum[i][j]);
          sum[i][j] = fmaf(left[i].w, right[j].w, sum[i][j]);
        }
    }
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j)
        if (frame.is_pair(i0 + i, j0 + j)) to[frame.place_of(i0 + i, j0 + j)] = sum[i][j];
  }
};

struct DotBackward {
  InteractionFrame frame;
  const float* grad_out;
  const Vectors* grad_vectors;

  static std::int64_t shared_bytes(int features, int dim) {
    const std::int64_t rows = DotForward::padded(features);
    return shared_part<float>(rows * dim) + shared_part<float>(rows * rows);
  }

  __device__ void operator()(SharedMemory memory) const {
    const int features = frame.features, dim = frame.dim, rows = DotForward::padded(features);
    float* const staged = memory.take<float>(static_cast<std::int64_t>(rows) * dim);
    float* const pairs = memory.take<float>(static_cast<std::int64_t>(rows) * rows);
    const std::int64_t sample = blockIdx.x;
    const float* const from = grad_out + sample * frame.stride;
    for (int k = static_cast<int>(threadIdx.x); k < features * dim; k += kInteractionThreads) {
      const Vectors& vectors = frame.vectors[k / dim];
      staged[k] = static_cast<const float*>(vectors.data)[sample * vectors.stride + k % dim];
    }
    for (int k = static_cast<int>(threadIdx.x); k < rows * rows; k += kInteractionThreads) {
      const int i = k / rows, j = k % rows, place = frame.place_of_any(i, j);
      pairs[k] = place < 0 ? 0 : i == j ? 2 * from[place] : from[place];
    }
    __syncthreads();
    for (int k = static_cast<int>(threadIdx.x); k < rows / 4 * dim; k += kInteractionThreads) {
      const int i0 = 4 * (k / dim), d = k % dim;
      float sum[4] = {i0 == 0 && frame.concatenate ? from[d] : 0.0F, 0, 0, 0};
      for (int j = 0; j < features; ++j) {
        const auto four = load_vector<float4>(pairs + j * rows + i0);
        const float value = staged[j * dim + d];
        sum[0] = fmaf(four.x, value, sum[0]);
        sum[1] = fmaf(four.y, value, sum[1]);
        sum[2] = fmaf(four.z, value, sum[2]);
        sum[3] = fmaf(four.w, value, sum[3]);
      }
      for (int i = 0; i < 4; ++i)
        if (i0 + i < features) {
          const Vectors& to = grad_vectors[i0 + i];
          static_cast<float*>(to.data)[sample * to.stride + d] = sum[i];
        }
    }
  }
};

}  // namespace swallowtail::cuda
