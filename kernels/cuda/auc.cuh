// The idea: keys are the scores' bits with the label below them, so that after the sort a group of equal scores holds
// its negatives first. Then a positive at place i wins against the negatives before its group and against half of those
// in it; with running counts of negatives both are one look-up, the group's begin a binary search.
#pragma once

#include "kernels/cuda/auc.h"
#include "kernels/cuda/device.cuh"

namespace swallowtail::cuda {

struct AucKeys {
  const float* scores;
  const float* labels;
  std::uint32_t* keys;
  AucCounts* counts;
  std::int64_t size;
  __device__ void operator()(SharedMemory) const {
    for (std::int64_t i = first_item(); i < size; i += item_stride()) {
      const float score = scores[i] + 0.0F;  // -0 and 0 are equal scores
      if (score < 0) atomicAdd(&counts->refused, 1ULL);
      keys[i] = __float_as_uint(score) << 1 | (labels[i] > 0.5F ? 1U : 0U);
    }
  }
};

struct AucNegatives {
  const std::uint32_t* keys;  // sorted
  std::int64_t* is_negative;
  std::int64_t size;
  __device__ void operator()(SharedMemory) const {
    for (std::int64_t i = first_item(); i < size; i += item_stride()) is_negative[i] = 1 - (keys[i] & 1);
  }
};

struct AucPairs {
  const std::uint32_t* keys;      // sorted
  const std::int64_t* negatives;  // running counts
  AucCounts* counts;
  std::int64_t size;

  __device__ void operator()(SharedMemory) const {
    unsigned long long won_twice = 0;
    for (std::int64_t i = first_item(); i < size; i += item_stride())
      if (keys[i] & 1) won_twice += static_cast<unsigned long long>(negatives[i] + before(keys[i] & ~1U));
    for (int half = 16; half > 0; half /= 2) won_twice += __shfl_xor_sync(0xffffffffU, won_twice, half);
    if (threadIdx.x % 32 == 0 && won_twice > 0) atomicAdd(&counts->won_twice, won_twice);
    if (first_item() == 0) {
      counts->negatives = static_cast<unsigned long long>(negatives[size - 1]);
      counts->positives = static_cast<unsigned long long>(size - negatives[size - 1]);
    }
  }

 private:
  /// Negatives below the scores whose least key this is.
  __device__ std::int64_t before(std::uint32_t least) const {
    std::int64_t low = 0, high = size;
    while (low < high) {
      const std::int64_t middle = (low + high) / 2;
      if (keys[middle] < least) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low == 0 ? 0 : negatives[low - 1];
  }
};

}  // namespace swallowtail::cuda
