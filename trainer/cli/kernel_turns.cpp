#include "trainer/cli/kernel_turns.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/machine_limits.h"
#include "kernels/random.h"
#include "kernels/stopwatch.h"

namespace swallowtail::cli {
namespace {

constexpr std::int64_t kPeakRounds = 4 << 20;

std::span<const std::int64_t> part_of_thread(std::span<const std::int64_t> ids) {
  const auto threads = static_cast<std::size_t>(omp_get_num_threads());
  const auto thread = static_cast<std::size_t>(omp_get_thread_num());
  const std::size_t begin = ids.size() * thread / threads;
  return ids.subspan(begin, ids.size() * (thread + 1) / threads - begin);
}

}  // namespace

bool is_wanted(const KernelTimingOptions& options, std::string_view name) {
  return name.find(options.only) != std::string_view::npos;
}

KernelTiming in_turns(const KernelTimingOptions& options, const KernelWork& work, const std::function<void()>& kernel,
                      const std::function<void()>& limit) {
  std::vector<double> ours, best;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    const double kernel_s = seconds_of(kernel), limit_s = seconds_of(limit);
    if (repeat == 0) continue;
    ours.push_back(work.amount / kernel_s);
    best.push_back(work.limit_amount / limit_s);
  }
  const double rate = median(ours);
  return {work.shape,
          work.unit,
          rate,
          std::ranges::min(ours),
          std::ranges::max(ours),
          work.limited_by,
          median(best),
          work.amount / work.calls / rate};
}

std::vector<std::int64_t> draw_ids(std::int64_t count, std::int64_t rows, double exponent) {
  std::vector<std::int64_t> ids(static_cast<std::size_t>(count));
  const double span = std::pow(static_cast<double>(rows), 1 - exponent) - 1;
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < count; ++i) {
    const double u = random::uniform(random::bits(1, random::purpose("bench ids"), static_cast<std::uint64_t>(i)));
    if (exponent == 0) {
      ids[i] = std::min(rows - 1, static_cast<std::int64_t>(u * static_cast<double>(rows)));
    } else {
      const double rank = std::pow(u * span + 1, 1 / (1 - exponent));
      ids[i] = random::below(random::mix(static_cast<std::uint64_t>(rank)), rows);
    }
  }
  return ids;
}

float gather_on_threads(const float* table, std::span<const std::int64_t> ids, std::int64_t dim) {
  float sum = 0;
#pragma omp parallel reduction(+ : sum)
  sum += gather_rows(table, part_of_thread(ids), dim);
  return sum;
}

void copy_rows_on_threads(const float* table, std::span<const std::int64_t> ids, std::int64_t dim,
                          std::int64_t out_rows) {
#pragma omp parallel
  {
    thread_local std::vector<float> out;
    out.resize(static_cast<std::size_t>(out_rows * dim));
    copy_rows(table, part_of_thread(ids), dim, out.data(), out_rows);
  }
}

void modify_on_threads(float* table, std::span<const std::int64_t> ids, std::int64_t dim) {
#pragma omp parallel
  modify_rows(table, part_of_thread(ids), dim);
}

void copy_on_threads(const float* from, float* to, std::int64_t count) {
#pragma omp parallel
  {
    const std::int64_t threads = omp_get_num_threads(), thread = omp_get_thread_num();
    const std::int64_t begin = count * thread / threads, end = count * (thread + 1) / threads;
    std::memcpy(to + begin, from + begin, static_cast<std::size_t>(end - begin) * sizeof(float));
  }
}

void peak_on_threads() {
  float sink = 0;
#pragma omp parallel reduction(+ : sink)
  multiply_add(kPeakRounds, &sink);
}

double peak_amount() {
  float sink = 0;
  return multiply_add(1, &sink) * static_cast<double>(kPeakRounds * omp_get_max_threads()) * 1e-9;
}

}  // namespace swallowtail::cli
