// Times of all-to-all exchanges on the ranks at hand, beside what the cost model says of them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "parallel/all_to_all/cost_model.h"
#include "parallel/communicator.h"

namespace swallowtail {

struct ExchangeTiming {
  std::string algorithm;  // a name, "auto", or "reference"
  std::string chosen;     // by auto; else the same as `algorithm`
  std::int64_t bytes_a_peer = 0;
  double median_s = 0, min_s = 0, max_s = 0;  // over repeats, each the slowest rank's
  double predicted_s = 0;                     // by the cost model; 0 for the reference
};

struct BenchmarkOptions {
  std::vector<std::int64_t> sizes{16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1 << 20, 4 << 20};  // bytes a peer
  double seconds_a_size = 1;  // as many repeats as fit, odd, at least least_repeats, at most most_repeats
  int least_repeats = 5, most_repeats = 25;
};

/// Every algorithm, auto and the reference at every size, in turns, so that a disturbance of the machine meets all;
/// each repeat is a barrier and enough exchanges back to back to take about a millisecond and eight latencies. Equal
/// chunks. Collective; every rank gets the same figures. reference: another exchange to compare with, or null.
std::vector<ExchangeTiming> time_exchanges(Communicator& ranks, const std::shared_ptr<const CostModel>& costs,
                                           const BenchmarkOptions& options,
                                           const std::function<void(ConstChunks, Chunks)>& reference = nullptr);

}  // namespace swallowtail
