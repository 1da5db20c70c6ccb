// The idea: blockIdx.y is a sum, a thread takes values of its output and walks through their parts, so that each part
// is read in whole sectors and no atomics touch a sum.
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/partial_sums.h"

namespace swallowtail::cuda {

struct AddParts {
  const PartialSum* sums;  // [gridDim.y]

  __device__ void operator()(SharedMemory) const {
    const PartialSum& of = sums[blockIdx.y];
    const std::int64_t values = of.vectors * of.cols;
    for (std::int64_t i = first_item(); i < values; i += item_stride()) {
      float sum = 0;
      for (std::int64_t part = 0; part < of.count; ++part) sum += of.parts[part * values + i];
      of.out[i / of.cols * of.stride + i % of.cols] = of.scale * sum;
    }
  }
};

}  // namespace swallowtail::cuda
