// The kernels of the CPU beside the machine's limits, measured in turns. Knows no torch and no ranks, so that
// tests/bench/kernels_bench.cpp can be built alone.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace swallowtail::cli {

struct KernelTimingOptions {
  int repeats = 9;                         // the first is thrown away
  std::int64_t table_bytes = 512LL << 20;  // of an embedding table
  std::int64_t sweep_bytes = 128LL << 20;  // of rows that pass before one is met again
  std::string only;                        // kernels whose name contains this; empty: all
};

/// A rate and the limit that it was measured in turns with; larger is better.
struct KernelTiming {
  nlohmann::json shape;  // "kernel" and what else tells it from the others
  std::string unit;      // "GB/s", "GFLOP/s", "M/s"
  double median, min, max;
  std::string limited_by;
  double limit;
  double seconds;  // of one call at the median rate
};

std::vector<KernelTiming> time_kernels(const KernelTimingOptions& options);

/// DESIGN's shape of a result of `bench`.
nlohmann::json to_json(const KernelTiming& timing);
/// One line each, for people.
std::string table_of(const std::vector<KernelTiming>& timings);

}  // namespace swallowtail::cli
