// The idea: a block compares 64 points with all centroids, 64 at a time; a thread holds the sums of 4 x 4 pairs, to
// which columns are added in order, sixteen of them staged in shared memory at once. Sixteen threads share a point and
// vote at the end. Columns of the stage are 68 floats apart: the four rows of a warp's store hit different banks.
#pragma once

#include "kernels/cuda/embedding_backward.cuh"
#include "kernels/cuda/kmeans.h"

namespace swallowtail::cuda {

constexpr int kKMeansTile = 64, kKMeansColumns = 16, kKMeansRow = kKMeansTile + 4;

struct KMeansAssign {
  KMeansShape shape;
  const float *points, *centroids;
  std::int64_t* nearest;
  float* distances;

  static std::int64_t shared_bytes() { return 2 * shared_part<float>(kKMeansColumns * kKMeansRow); }

  __device__ void operator()(SharedMemory memory) const {
    float* const staged_points = memory.take<float>(kKMeansColumns * kKMeansRow);
    float* const staged_centroids = memory.take<float>(kKMeansColumns * kKMeansRow);
    const int across = static_cast<int>(threadIdx.x) % 16, down = static_cast<int>(threadIdx.x) / 16;
    const std::int64_t first_point = static_cast<std::int64_t>(blockIdx.x) * kKMeansTile;
    float least[4];
    std::int64_t found[4] = {};
    for (float& one : least) one = __uint_as_float(0x7f800000U);
    for (std::int64_t first = 0; first < shape.centroids; first += kKMeansTile) {
      float sum[4][4] = {};
      for (std::int64_t column = 0; column < shape.dim; column += kKMeansColumns) {
        stage(points, shape.points, first_point, column, staged_points);
        stage(centroids, shape.centroids, first, column, staged_centroids);
        __syncthreads();
        const int columns = static_cast<int>(shape.dim - column < kKMeansColumns ? shape.dim - column : kKMeansColumns);
        for (int d = 0; d < columns; ++d) {
          const auto p = load_vector<float4>(staged_points + d * kKMeansRow + 4 * down);
          const auto c = load_vector<float4>(staged_centroids + d * kKMeansRow + 4 * across);
          const float left[4] = {p.x, p.y, p.z, p.w}, right[4] = {c.x, c.y, c.z, c.w};
          SWALLOWTAIL_UNROLL
          for (int i = 0; i < 4; ++i) SWALLOWTAIL_UNROLL
          for (int j = 0; j < 4; ++j) {
            const float apart = left[i] - right[j];
            sum[i][j] = fmaf(apart, apart, sum[i][j]);
          }
        }
        __syncthreads();
      }
      for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) {
          const std::int64_t centroid = first + 4 * across + j;
          if (centroid < shape.centroids && sum[i][j] < least[i]) {
            least[i] = sum[i][j];
            found[i] = centroid;
          }
        }
    }
    for (int i = 0; i < 4; ++i) {
      for (int half = 8; half > 0; half /= 2) {
        const float other = __shfl_xor_sync(0xffffffffU, least[i], half);
        const std::int64_t its = __shfl_xor_sync(0xffffffffU, found[i], half);
        if (other < least[i] || (other == least[i] && its < found[i])) {
          least[i] = other;
          found[i] = its;
        }
      }
      const std::int64_t point = first_point + 4 * down + i;
      if (across != 0 || point >= shape.points) continue;
      nearest[point] = found[i];
      if (distances) distances[point] = least[i];
    }
  }

 private:
  /// staged[d, r] = matrix[first + r, column + d], zeros outside.
  __device__ void stage(const float* matrix, std::int64_t rows, std::int64_t first, std::int64_t column,
                        float* staged) const {
    for (int k = static_cast<int>(threadIdx.x); k < kKMeansColumns * kKMeansTile; k += kBlockThreads) {
      const int d = k % kKMeansColumns, r = k / kKMeansColumns;
      const bool is_inside = first + r < rows && column + d < shape.dim;
      staged[d * kKMeansRow + r] = is_inside ? matrix[(first + r) * shape.dim + column + d] : 0.0F;
    }
  }
};

struct KMeansKeys {
  const std::int64_t* nearest;
  std::uint64_t* keys;
  std::uint32_t* items;
  std::int64_t points;
  __device__ void operator()(SharedMemory) const {
    for (std::int64_t i = first_item(); i < points; i += item_stride()) {
      keys[i] = static_cast<std::uint64_t>(nearest[i]);
      items[i] = static_cast<std::uint32_t>(i);
    }
  }
};

/// One thread a column of a centroid.
struct KMeansMeans {
  KMeansShape shape;
  const float* points;
  const std::uint64_t* keys;   // sorted
  const std::uint32_t* items;  // alike
  float* centroids;
  unsigned long long* empty;

  __device__ void operator()(SharedMemory) const {
    constexpr int kInFlight = 8;
    for (std::int64_t at = first_item(); at < shape.centroids * shape.dim; at += item_stride()) {
      const std::int64_t centroid = at / shape.dim, column = at % shape.dim;
      const std::int64_t begin = first_not_below(static_cast<std::uint64_t>(centroid));
      const std::int64_t end = first_not_below(static_cast<std::uint64_t>(centroid) + 1);
      if (begin == end) {
        if (column == 0) atomicAdd(empty, 1ULL);
        continue;
      }
      double sum = 0;
      std::int64_t i = begin;
      for (; i + kInFlight <= end; i += kInFlight) {
        float from[kInFlight];
        SWALLOWTAIL_UNROLL
        for (int k = 0; k < kInFlight; ++k) from[k] = points[items[i + k] * shape.dim + column];
        SWALLOWTAIL_UNROLL
        for (int k = 0; k < kInFlight; ++k) sum += from[k];
      }
      for (; i < end; ++i) sum += points[items[i] * shape.dim + column];
      centroids[at] = static_cast<float>(sum / static_cast<double>(end - begin));
    }
  }

 private:
  __device__ std::int64_t first_not_below(std::uint64_t key) const {
    std::int64_t low = 0, high = shape.points;
    while (low < high) {
      const std::int64_t middle = (low + high) / 2;
      if (keys[middle] < key) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
};

}  // namespace swallowtail::cuda
