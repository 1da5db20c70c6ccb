#include "kernels/kmeans.h"

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cpu/kmeans_kernels.h"
#include "kernels/cpu/variants.h"

namespace swallowtail {

namespace cpu {

namespace {

void assign(const KMeansShape& shape, const float* points, const float* centroids, std::int64_t* nearest,
            float* distances) {
#pragma omp parallel for schedule(static) if (shape.points >= 64)
  for (std::int64_t n = 0; n < shape.points; ++n) {
    float least = std::numeric_limits<float>::infinity();
    nearest[n] = 0;
    for (std::int64_t k = 0; k < shape.centroids; ++k) {
      float sum = 0;
      for (std::int64_t d = 0; d < shape.dim; ++d) {
        const float apart = points[n * shape.dim + d] - centroids[k * shape.dim + d];
        sum = std::fma(apart, apart, sum);
      }
      if (sum < least) {
        least = sum;
        nearest[n] = k;
      }
    }
    if (distances != nullptr) distances[n] = least;
  }
}

}  // namespace

const KmeansFamily& kmeans_scalar() {
  static constexpr KmeansFamily kFamily{assign};
  return kFamily;
}

}  // namespace cpu

void kmeans_assign(const KMeansShape& shape, const float* points, const float* centroids,
                   std::span<std::int64_t> nearest, std::span<float> distances) {
  cpu::of_active_isa(cpu::kmeans_scalar, cpu::kmeans_avx2, cpu::kmeans_avx512)
      .assign(shape, points, centroids, nearest.data(), distances.empty() ? nullptr : distances.data());
}

std::int64_t kmeans_means(const KMeansShape& shape, const float* points, std::span<const std::int64_t> nearest,
                          float* centroids) {
  std::vector<double> sums(static_cast<std::size_t>(shape.centroids * shape.dim));
  std::vector<std::int64_t> counts(static_cast<std::size_t>(shape.centroids));
  for (std::int64_t n = 0; n < shape.points; ++n) {
    ++counts[nearest[n]];
    for (std::int64_t d = 0; d < shape.dim; ++d) sums[nearest[n] * shape.dim + d] += points[n * shape.dim + d];
  }
  std::int64_t empty = 0;
  for (std::int64_t k = 0; k < shape.centroids; ++k) {
    empty += counts[k] == 0;
    for (std::int64_t d = 0; counts[k] > 0 && d < shape.dim; ++d)
      centroids[k * shape.dim + d] = static_cast<float>(sums[k * shape.dim + d] / static_cast<double>(counts[k]));
  }
  return empty;
}

}  // namespace swallowtail
