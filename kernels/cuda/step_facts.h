// What differs from one training step to the next, in device memory: kernels read it when they run, so that a graph
// recorded once serves every step.
#pragma once

#include <cstdint>

#include "kernels/cuda/rates.h"

namespace swallowtail::cuda {

struct StepFacts {
  Rates dense;                // of the dense parameters
  float average_share = 0;    // 1 - d_t of the weight average (kernels/weight_average.h)
  float unscale = 1;          // 1 / loss scale
  double gradient_scale = 1;  // loss scale / samples of the global batch
  std::int64_t step = 1;
  std::int64_t first_sample = 0;  // place of the first row within the global batch
};

}  // namespace swallowtail::cuda
