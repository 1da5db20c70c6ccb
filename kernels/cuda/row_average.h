// The exponential moving average of embedding rows on the device (the meaning: kernels/weight_average.h). Rows that no
// batch touches lag behind on purpose: a touched row first catches up with the steps in which it rested, then takes
// this step's share. All pointers are device memory; calls return at once.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/cuda/device.h"
#include "kernels/cuda/embedding.h"
#include "kernels/cuda/step_facts.h"

namespace swallowtail::cuda {

/// The average of one table of fp32 rows.
struct RowAverage {
  float* average = nullptr;  // [row_count, dim]
  /// [row_count] twice the step up to which `average` is true; odd while a step's two calls are between. So steps stay
  /// below 2^30.
  std::int32_t* step_of = nullptr;
};

/// Products of the decays d_t over spans of steps, for kernels.
struct DecayTable {
  const double* log_prefix = nullptr;  // [warm_up + 1] sum of log d_t over the warm-up
  std::int64_t warm_up = 0;
  double log_decay = 0;  // after it
};

struct RowAverages {
  const DeviceTables* tables = nullptr;
  const RowAverage* averages = nullptr;  // [tables]
  DecayTable decays;
  const StepFacts* facts = nullptr;  // step, average_share
};

/// Before and after pooled_lookup_backward of the same bags, in every step.
void average_before_update(const RowAverages& of, const DeviceBags& bags, Stream& stream);
void average_after_update(const RowAverages& of, const DeviceBags& bags, Stream& stream);
/// Every row's average up to `step`.
void settle_averages(const RowAverages& of, std::int64_t step, Stream& stream);

}  // namespace swallowtail::cuda
