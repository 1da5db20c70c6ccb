// A machine park as the planner sees it: one rank's device, and the network between ranks. From a cluster file.
#pragma once

#include <string>

#include "parallel/simulated/network.h"

namespace swallowtail {

struct Cluster {
  std::string name;
  NetworkDescription network;
  bool is_gpu = true;
  // Of one rank. Rates are what is reached, not what a datasheet says.
  double memory_bytes = 0, reserved_bytes = 0;  // reserved: libraries and buffers that nobody below counts
  double stream_bytes_per_s = 0, gather_bytes_per_s = 0, cache_bytes = 0, cache_bytes_per_s = 0, granule_bytes = 0;
  double bf16_flops = 0, fp32_flops = 0;
  int multiprocessors = 0;                 // over which the tiles of a matrix product are spread; 0: does not matter
  double kernel_overhead_s = 0;            // of each kernel of a step, beside its work
  double node_all_reduce_bytes_per_s = 0;  // bus bandwidth within a node
};

/// A built-in cluster or a file. Errors: usage, at the place of what is wrong.
Cluster load_cluster(const std::string& name_or_file);

}  // namespace swallowtail
