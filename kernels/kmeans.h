// The distances of k-means. Source: Lloyd, IEEE Trans. Information Theory 1982. Squared distances are added column by
// column with fused multiply-adds, so every instruction set and number of threads gives the same bits.
#pragma once

#include <cstdint>
#include <span>

namespace swallowtail {

struct KMeansShape {
  std::int64_t points, centroids, dim;  // N, K, D; K >= 1
};

/// nearest[n] = the centroid with the least squared distance to points[n], the lowest number of equals;
/// distances[n] = that squared distance, or empty: not wanted. points [N, D], centroids [K, D]. A NaN is never nearest.
void kmeans_assign(const KMeansShape& shape, const float* points, const float* centroids,
                   std::span<std::int64_t> nearest, std::span<float> distances);

/// centroids [K, D] = mean of the points that are nearest to each, added in their order in fp64; a centroid without
/// points stays where it is. Returns the number of such centroids.
std::int64_t kmeans_means(const KMeansShape& shape, const float* points, std::span<const std::int64_t> nearest,
                          float* centroids);

}  // namespace swallowtail
