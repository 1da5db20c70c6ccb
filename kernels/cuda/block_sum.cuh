// Sums of doubles in a fixed order: within a block as a tree, over blocks by one block.
#pragma once

#include "kernels/cuda/device.cuh"

namespace swallowtail::cuda {

constexpr std::int64_t block_sum_bytes() { return shared_part<double>(kBlockThreads); }

/// The sum over the block's threads, on all of them that read it after the call. shared [kBlockThreads].
__device__ inline double block_sum(double mine, double* shared) {
  shared[threadIdx.x] = mine;
  __syncthreads();
  for (unsigned half = kBlockThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  return shared[0];
}

/// *sum = partial[0] + … + partial[count - 1], in kBlockThreads runs, by one block.
struct AddPartialSums {
  const double* partial_sums;
  double* sum;
  std::int64_t count;
  __device__ void operator()(SharedMemory memory) const {
    double* const shared = memory.take<double>(kBlockThreads);
    double mine = 0;
    for (std::int64_t i = count * threadIdx.x / kBlockThreads; i < count * (threadIdx.x + 1) / kBlockThreads; ++i)
      mine += partial_sums[i];
    const double all = block_sum(mine, shared);
    if (threadIdx.x == 0) *sum = all;
  }
};

}  // namespace swallowtail::cuda
