// What this process may use of the machine: the smaller of what is there and what a container or a job allows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace swallowtail::cli {

/// Cores that this process may run on: affinity mask and cgroup quota, at least 1.
int usable_cores();

struct Memory {
  std::int64_t total_bytes = 0, available_bytes = 0;
  std::optional<std::int64_t> limit_bytes;  // of the cgroup (version 1 or 2), where there is one
};
Memory memory();

/// "model name" of the first core; empty where unknown.
std::string cpu_name();

/// 1536 MiB -> "1.5 GiB".
std::string human_bytes(double bytes);

}  // namespace swallowtail::cli
