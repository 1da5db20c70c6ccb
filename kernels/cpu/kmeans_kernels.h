// The variants of the nearest centroid: kmeans.h says what it means.
#pragma once

#include "kernels/kmeans.h"

namespace swallowtail::cpu {

struct KmeansFamily {
  void (*assign)(const KMeansShape& shape, const float* points, const float* centroids, std::int64_t* nearest,
                 float* distances);
};

const KmeansFamily& kmeans_scalar();
const KmeansFamily& kmeans_avx2();
const KmeansFamily& kmeans_avx512();

}  // namespace swallowtail::cpu
