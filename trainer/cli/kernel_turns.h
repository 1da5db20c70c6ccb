// How the kernels of `bench kernels` are timed: each in turns with its limit, so that what slows the machine slows
// both.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/cli/kernel_timings.h"

namespace swallowtail::cli {

constexpr std::int64_t kKernelBatch = 2048;

struct KernelWork {
  nlohmann::json shape;
  std::string unit;
  double amount;  // in the unit times seconds, of one sweep
  std::string limited_by;
  double limit_amount;  // likewise
  double calls;         // of the kernel in a sweep
};

bool is_wanted(const KernelTimingOptions& options, std::string_view name);

/// Kernel and limit in turns; each function does one sweep.
KernelTiming in_turns(const KernelTimingOptions& options, const KernelWork& work, const std::function<void()>& kernel,
                      const std::function<void()>& limit);

/// Rows drawn alike, or with the weight of rank^-exponent, scattered over the table.
std::vector<std::int64_t> draw_ids(std::int64_t count, std::int64_t rows, double exponent);

// machine_limits.h on as many threads as the kernels take. Rows that two threads modify at once hold anything after.
float gather_on_threads(const float* table, std::span<const std::int64_t> ids, std::int64_t dim);
/// Each thread to `out_rows` rows of its own.
void copy_rows_on_threads(const float* table, std::span<const std::int64_t> ids, std::int64_t dim,
                          std::int64_t out_rows);
void modify_on_threads(float* table, std::span<const std::int64_t> ids, std::int64_t dim);
void copy_on_threads(const float* from, float* to, std::int64_t count);
/// A sweep of the multiply-add peak, and its work in GFLOP.
void peak_on_threads();
double peak_amount();

// The families that kernel_timings.cpp does not hold itself.
void time_cross(const KernelTimingOptions& options, std::vector<KernelTiming>& timings);
void time_top_k(const KernelTimingOptions& options, std::vector<KernelTiming>& timings);
void time_kmeans(const KernelTimingOptions& options, std::vector<KernelTiming>& timings);
void time_sampled_softmax(const KernelTimingOptions& options, std::vector<KernelTiming>& timings);

}  // namespace swallowtail::cli
