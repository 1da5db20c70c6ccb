// Dropout masks from counters: the mask of a sample depends on its place in the global batch, not on ranks or threads.
#pragma once

#include <cstdint>

namespace swallowtail {

struct DropoutKey {
  std::uint64_t seed = 0;
  std::int64_t step = 0;
  std::uint64_t layer = 0;
};

/// mask[b, j] = 0 with `probability`, else 1 / (1 - probability). mask [batch, width] overwritten; sample b of the mask
/// is sample first_sample + b of the global batch. 0 <= probability < 1.
void dropout_mask(const DropoutKey& key, double probability, std::int64_t first_sample, std::int64_t batch,
                  std::int64_t width, float* mask);

}  // namespace swallowtail
