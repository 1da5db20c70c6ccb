// K-means on the device: the meaning and the bits of kernels/kmeans.h. All pointers are device memory; calls return at
// once.
#pragma once

#include <cstdint>

#include "kernels/cuda/device.h"
#include "kernels/kmeans.h"

namespace swallowtail::cuda {

/// nearest [N], distances [N] or null: not wanted.
/// Cost  3 N K D flops on the FP32 units, in tiles of 64 points x 64 centroids that read 8 floats from shared memory
///       for 16 pairs; no tensor cores, whose products of |x|^2 - 2xc + |c|^2 would lose the bits where points are
///       near.
void kmeans_assign(const KMeansShape& shape, const float* points, const float* centroids, std::int64_t* nearest,
                   float* distances, Stream& stream);

struct KMeansScratch {
  DeviceBuffer<std::uint64_t> keys, sorted_keys;
  DeviceBuffer<std::uint32_t> items, sorted_items;
  DeviceBuffer<std::byte> library;
};

/// *empty = centroids without points, which stay where they are. N < 2^32.
/// Cost  a sort of the points' centroids, then N * D * 4 bytes; a column of a centroid is one thread's, since its fp64
///       sum goes in the order of the points: with few centroids this is bound by the latency of its loads, eight of
///       which are under way.
void kmeans_means(const KMeansShape& shape, const float* points, const std::int64_t* nearest, float* centroids,
                  unsigned long long* empty, KMeansScratch& scratch, Stream& stream);

}  // namespace swallowtail::cuda
