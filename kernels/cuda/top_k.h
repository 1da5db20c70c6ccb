// The K best of many scores for each user, on the device: the meaning of kernels/top_k.h, the same items and scores.
// All pointers are device memory; calls return at once.
#pragma once

#include <cstdint>

#include "kernels/cuda/device.h"

namespace swallowtail::cuda {

inline constexpr std::int64_t kMostTopK = 1024;
inline constexpr std::int64_t kMostTopKItems = 1'700'000;  // a bit an item must fit into shared memory

struct DeviceTopK {
  std::int64_t users = 0, items = 0, k = 0;
  const std::int64_t* excluded = nullptr;          // items, in bags of users
  const std::int64_t* excluded_offsets = nullptr;  // [users + 1], or null: none is excluded
  const std::uint8_t* candidates = nullptr;        // [items] 0: may not be chosen by anyone; or null
};

/// items [users, k]; best_scores [users, k], or null: not wanted. scores [users, items].
/// Errors  Failure: k or items beyond the bounds above.
/// Cost    the scores are read about four times, from the second on out of L2 while blocks * items * 4 bytes fit there.
void top_k(const DeviceTopK& of, const float* scores, std::int64_t* items, float* best_scores, Stream& stream);

}  // namespace swallowtail::cuda
