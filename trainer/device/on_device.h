// The device's failures as the program's errors.
#pragma once

#include <fmt/format.h>

#include "kernels/cuda/device.h"
#include "parallel/error.h"

namespace swallowtail {

/// What `work` gives. Errors: resources in place of cuda::Failure.
template <typename Work>
auto on_device(int device, const Work& work) {
  try {
    return work();
  } catch (const cuda::Failure& failure) {
    throw Error{ExitCode::resources, failure.what(), fmt::format("device {}", device),
                "see nvidia-smi; fewer or narrower tables or a smaller train.batch_size need less memory"};
  }
}

}  // namespace swallowtail
