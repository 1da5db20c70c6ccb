// Facts of the machine that a result depends on: for summary.json, the report and doctor. The host's name is left out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace swallowtail {

struct MachineFacts {
  std::string cpu;                          // "AMD EPYC 9B14", or "unknown"
  int cores = 0;                            // that this process may use (affinity)
  double cpu_quota = 0;                     // cores' worth of time that the control group grants; 0: no limit
  std::string isa;                          // that the kernels use: "avx512", "avx2" or "scalar"
  std::int64_t memory_total_bytes = 0;      // of the machine, or of the control group where that is less
  std::int64_t memory_available_bytes = 0;  // likewise, what is free or can be freed now
  bool is_memory_limited = false;           // by the control group
  std::string kernel;                       // "Linux 6.1.0"
  std::string compiler;                     // of this program
  std::string version;                      // of this program
};

/// `root`: where /proc and /sys hang; tests give another. What cannot be read stays at its default; throws nothing.
MachineFacts machine_facts(const std::filesystem::path& root = "/");

/// The same as an object with the fields' names.
nlohmann::ordered_json to_json(const MachineFacts& machine);

}  // namespace swallowtail
