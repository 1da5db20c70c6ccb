// The idea: one warp a sample, 16 x 16 x 16 tiles on the tensor cores. Vectors and pairs are padded with zeros to
// multiples of 16 in shared memory; rows are 8 elements further apart, so that the eight rows of a tile's load hit
// different banks. Each tile of results passes through a small fp32 tile, because which lane holds what is not known.
// wmma rather than inline PTX, so that the emulator runs the body; wgmma (sm_90) and tcgen05 (sm_100) would want tiles
// of 64 rows, and a sample has 27.
#pragma once

#include "kernels/cuda/interaction.cuh"

namespace swallowtail::cuda {

__device__ inline __half narrow(float value, __half) { return __float2half_rn(value); }
__device__ inline __nv_bfloat16 narrow(float value, __nv_bfloat16) { return __float2bfloat16_rn(value); }
__device__ inline float widen(__half value) { return __half2float(value); }
__device__ inline float widen(__nv_bfloat16 value) { return __bfloat162float(value); }

constexpr int kTile = 16, kTileSkew = 8;
constexpr int tiled(int count) { return (count + kTile - 1) / kTile * kTile; }

template <typename T>
using LeftTile = nvcuda::wmma::fragment<nvcuda::wmma::matrix_a, kTile, kTile, kTile, T, nvcuda::wmma::row_major>;
template <typename T>
using RightTile = nvcuda::wmma::fragment<nvcuda::wmma::matrix_b, kTile, kTile, kTile, T, nvcuda::wmma::row_major>;
template <typename T>
using RightTransposed = nvcuda::wmma::fragment<nvcuda::wmma::matrix_b, kTile, kTile, kTile, T, nvcuda::wmma::col_major>;
using SumTile = nvcuda::wmma::fragment<nvcuda::wmma::accumulator, kTile, kTile, kTile, float>;

/// staged[i, d] of the sample, zeros in the padding; the warp's lanes together.
template <typename T>
__device__ inline void stage_vectors(const InteractionFrame& frame, std::int64_t sample, T* staged) {
  const int columns = tiled(frame.dim), row = columns + kTileSkew;
  for (int k = static_cast<int>(threadIdx.x) % 32; k < tiled(frame.features) * columns; k += 32) {
    const int i = k / columns, d = k % columns;
    const bool is_inside = i < frame.features && d < frame.dim;
    staged[i * row + d] = is_inside ? static_cast<const T*>(frame.vectors[i].data)[sample * frame.vectors[i].stride + d]
                                    : narrow(0.0F, T{});
  }
}

template <typename T>
struct HalfDotForward {
  InteractionFrame frame;
  T* out;

  static std::int64_t shared_bytes(int features, int dim, int warps) {
    return shared_part<T>(static_cast<std::int64_t>(warps) * tiled(features) * (tiled(dim) + kTileSkew)) +
           shared_part<float>(static_cast<std::int64_t>(warps) * kTile * kTile);
  }

  __device__ void operator()(SharedMemory memory) const {
    namespace wmma = nvcuda::wmma;
    const int warps = static_cast<int>(blockDim.x) / 32, warp = static_cast<int>(threadIdx.x) / 32;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int rows = tiled(frame.features), columns = tiled(frame.dim), row = columns + kTileSkew;
    T* const staged = memory.take<T>(static_cast<std::int64_t>(warps) * rows * row) + warp * rows * row;
    float* const result = memory.take<float>(static_cast<std::int64_t>(warps) * kTile * kTile) + warp * kTile * kTile;
    const std::int64_t sample = static_cast<std::int64_t>(blockIdx.x) * warps + warp;
    if (sample >= frame.batch) return;  // the whole warp; no barrier of the block follows
    T* const to = out + sample * frame.stride;
    stage_vectors(frame, sample, staged);
    __syncwarp();
    for (int ti = 0; ti < rows; ti += kTile)
      for (int tj = 0; tj <= ti; tj += kTile) {
        SumTile sum;
        wmma::fill_fragment(sum, 0.0F);
        for (int d = 0; d < columns; d += kTile) {
          LeftTile<T> left;
          RightTransposed<T> right;
          wmma::load_matrix_sync(left, staged + ti * row + d, static_cast<unsigned>(row));
          wmma::load_matrix_sync(right, staged + tj * row + d, static_cast<unsigned>(row));
          wmma::mma_sync(sum, left, right, sum);
        }
        wmma::store_matrix_sync(result, sum, kTile, wmma::mem_row_major);
        __syncwarp();
        for (int k = lane; k < kTile * kTile; k += 32) {
          const int i = ti + k / kTile, j = tj + k % kTile;
          if (frame.is_pair(i, j)) to[frame.place_of(i, j)] = narrow(result[k], T{});
        }
        __syncwarp();
      }
    for (int k = lane; k < frame.begin_of_pairs(); k += 32) to[k] = staged[k];
    for (int k = frame.begin_of_pairs() + frame.pairs() + lane; k < frame.stride; k += 32) to[k] = narrow(0.0F, T{});
  }
};

template <typename T>
struct HalfDotBackward {
  InteractionFrame frame;
  const T* grad_out;
  const Vectors* grad_vectors;

  static std::int64_t shared_bytes(int features, int dim, int warps) {
    return HalfDotForward<T>::shared_bytes(features, dim, warps) +
           shared_part<T>(static_cast<std::int64_t>(warps) * tiled(features) * (tiled(features) + kTileSkew));
  }

  __device__ void operator()(SharedMemory memory) const {
    namespace wmma = nvcuda::wmma;
    const int warps = static_cast<int>(blockDim.x) / 32, warp = static_cast<int>(threadIdx.x) / 32;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int rows = tiled(frame.features), columns = tiled(frame.dim), row = columns + kTileSkew;
    const int pair_row = rows + kTileSkew;
    T* const staged = memory.take<T>(static_cast<std::int64_t>(warps) * rows * row) + warp * rows * row;
    float* const result = memory.take<float>(static_cast<std::int64_t>(warps) * kTile * kTile) + warp * kTile * kTile;
    T* const pairs = memory.take<T>(static_cast<std::int64_t>(warps) * rows * pair_row) + warp * rows * pair_row;
    const std::int64_t sample = static_cast<std::int64_t>(blockIdx.x) * warps + warp;
    if (sample >= frame.batch) return;
    const T* const from = grad_out + sample * frame.stride;
    stage_vectors(frame, sample, staged);
    for (int k = lane; k < rows * rows; k += 32) {
      const int i = k / rows, j = k % rows, place = frame.place_of_any(i, j);
      const float gradient = place < 0 ? 0.0F : widen(from[place]);
      pairs[i * pair_row + j] = narrow(i == j ? 2 * gradient : gradient, T{});
    }
    __syncwarp();
    for (int ti = 0; ti < rows; ti += kTile)
      for (int d = 0; d < columns; d += kTile) {
        SumTile sum;
        wmma::fill_fragment(sum, 0.0F);
        for (int tj = 0; tj < rows; tj += kTile) {
          LeftTile<T> left;
          RightTile<T> right;
          wmma::load_matrix_sync(left, pairs + ti * pair_row + tj, static_cast<unsigned>(pair_row));
          wmma::load_matrix_sync(right, staged + tj * row + d, static_cast<unsigned>(row));
          wmma::mma_sync(sum, left, right, sum);
        }
        wmma::store_matrix_sync(result, sum, kTile, wmma::mem_row_major);
        __syncwarp();
        for (int k = lane; k < kTile * kTile; k += 32) {
          const int i = ti + k / kTile, column = d + k % kTile;
          if (i >= frame.features || column >= frame.dim) continue;
          const float direct = i == 0 && frame.concatenate ? widen(from[column]) : 0.0F;
          const Vectors& to = grad_vectors[i];
          static_cast<T*>(to.data)[sample * to.stride + column] = narrow(result[k] + direct, T{});
        }
        __syncwarp();
      }
  }
};

}  // namespace swallowtail::cuda
