#include "kernels/cuda/kmeans.cuh"

#include <algorithm>
#include <bit>

#include "kernels/cuda/sort.h"

namespace swallowtail::cuda {

void kmeans_assign(const KMeansShape& shape, const float* points, const float* centroids, std::int64_t* nearest,
                   float* distances, Stream& stream) {
  if (shape.points == 0) return;
  launch<kBlockThreads>({divide_up(shape.points, kKMeansTile), 1}, KMeansAssign::shared_bytes(), stream,
                        KMeansAssign{shape, points, centroids, nearest, distances});
}

void kmeans_means(const KMeansShape& shape, const float* points, const std::int64_t* nearest, float* centroids,
                  unsigned long long* empty, KMeansScratch& scratch, Stream& stream) {
  if (shape.points >= std::int64_t{1} << 32) throw Failure("a device's k-means takes fewer than 2^32 points");
  zero(empty, 1, stream);
  if (shape.centroids * shape.dim == 0) return;
  scratch.keys.reserve(std::max<std::int64_t>(shape.points, 1));
  scratch.sorted_keys.reserve(scratch.keys.size());
  scratch.items.reserve(scratch.keys.size());
  scratch.sorted_items.reserve(scratch.keys.size());
  if (shape.points > 0)
    launch<kBlockThreads>(grid_for(shape.points), 0, stream,
                          KMeansKeys{nearest, scratch.keys.data(), scratch.items.data(), shape.points});
  const int bits = std::max(1, static_cast<int>(std::bit_width(static_cast<std::uint64_t>(shape.centroids - 1))));
  sort_pairs(scratch.keys.data(), scratch.sorted_keys.data(), scratch.items.data(), scratch.sorted_items.data(),
             shape.points, bits, scratch.library, stream);
  launch<kBlockThreads>(
      grid_for(shape.centroids * shape.dim), 0, stream,
      KMeansMeans{shape, points, scratch.sorted_keys.data(), scratch.sorted_items.data(), centroids, empty});
}

}  // namespace swallowtail::cuda
