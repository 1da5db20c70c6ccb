// The one family of `bench kernels` that needs LibTorch, for its BLAS.
#pragma once

#include <vector>

#include "trainer/cli/kernel_timings.h"

namespace swallowtail::cli {

/// Forward, backward and gradients of weights of an MLP, where `options` want it.
void time_mlp(const KernelTimingOptions& options, std::vector<KernelTiming>& timings);

}  // namespace swallowtail::cli
