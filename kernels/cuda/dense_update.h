// The dense parameters' optimizer on the device, over one flat array of all of them, and what comes before it: the
// search for a gradient that is not finite, and the norm that it is clipped to. Bits as kernels/optimizer.h's
// update_dense, but for the clipped norm's last place. All pointers are device memory; calls return at once.
#pragma once

#include <cstdint>

#include "kernels/cuda/device.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/step_facts.h"

namespace swallowtail::cuda {

inline constexpr unsigned long long kNoBadPlace = ~0ULL;

/// *first = the least i whose value is not finite, or kNoBadPlace.
void find_non_finite(const float* values, std::int64_t count, unsigned long long* first, Stream& stream);

/// values[i] *= facts->unscale
void unscale(float* values, std::int64_t count, const StepFacts* facts, Stream& stream);

struct SquaresScratch {
  DeviceBuffer<double> partial_sums;
};
/// *sum = values[0]^2 + …, in fp64, in a fixed order.
void sum_of_squares(const float* values, std::int64_t count, double* sum, SquaresScratch& scratch, Stream& stream);

struct DenseUpdate {
  std::int64_t count = 0;
  float* weights = nullptr;
  const float* gradient = nullptr;
  float* state = nullptr;    // [dense_state_width]
  float* average = nullptr;  // [count], or null: no weight average
  const StepFacts* facts = nullptr;
  const double* squares = nullptr;  // of the gradient, or null: it is not clipped
  double clip_norm = 0;
};
void update_dense(const DenseUpdate& update, Stream& stream);

/// out[i] = values[i] rounded to 16 bits.
void round_to_half(Precision precision, const float* values, std::int64_t count, void* out, Stream& stream);

}  // namespace swallowtail::cuda
