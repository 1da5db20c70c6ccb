#include "trainer/report/machine.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/utsname.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "kernels/isa.h"

namespace swallowtail {
namespace {

namespace fs = std::filesystem;

std::string read_text(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The text after "`key`" and ":" in files like /proc/meminfo.
std::string field(const std::string& text, std::string_view key) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(key)) continue;
    const auto colon = line.find(':');
    const auto begin = line.find_first_not_of(" \t", colon + 1);
    if (colon != std::string::npos && begin != std::string::npos) return line.substr(begin);
  }
  return {};
}

std::optional<std::int64_t> leading_integer(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return {};
  return value;
}

/// The folders of this process's control group and all above it; limits of any of them hold.
std::vector<fs::path> control_groups(const fs::path& root, const std::string& controller) {
  std::istringstream lines(read_text(root / "proc/self/cgroup"));
  std::vector<fs::path> folders;
  for (std::string line; std::getline(lines, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const auto names = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    const bool is_version_2 = names == ",,";
    if (!is_version_2 && names.find(fmt::format(",{},", controller)) == std::string::npos) continue;
    const auto mount = root / "sys/fs/cgroup" / (is_version_2 ? "" : controller);
    // Inside a container the path may name a folder that only the host sees; the mount itself is then the group.
    for (fs::path group = fs::path(line.substr(second + 1)).relative_path();; group = group.parent_path()) {
      folders.push_back(mount / group);
      if (group.empty()) break;
    }
  }
  return folders;
}

void read_memory(const fs::path& root, MachineFacts& machine) {
  const auto meminfo = read_text(root / "proc/meminfo");
  machine.memory_total_bytes = leading_integer(field(meminfo, "MemTotal")).value_or(0) * 1024;
  machine.memory_available_bytes = leading_integer(field(meminfo, "MemAvailable")).value_or(0) * 1024;
  for (const auto& group : control_groups(root, "memory"))
    for (const auto& [limit_name, used_name, cache_name] :
         {std::tuple{"memory.max", "memory.current", "inactive_file "},
          std::tuple{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "}}) {
      const auto limit = leading_integer(read_text(group / limit_name));  // "max": no limit
      if (!limit || *limit >= machine.memory_total_bytes) continue;
      machine.is_memory_limited = true;
      machine.memory_total_bytes = *limit;
      // Pages of files count as used but are given up when memory is short.
      std::int64_t reclaimable = 0;
      std::istringstream statistics(read_text(group / "memory.stat"));
      for (std::string line; std::getline(statistics, line);)
        if (line.starts_with(cache_name)) reclaimable = leading_integer(line.substr(line.find(' ') + 1)).value_or(0);
      const auto used = leading_integer(read_text(group / used_name)).value_or(0) - reclaimable;
      machine.memory_available_bytes =
          std::min(machine.memory_available_bytes, std::max<std::int64_t>(*limit - used, 0));
    }
}

double cpu_quota(const fs::path& root) {
  double quota = std::numeric_limits<double>::infinity();
  for (const auto& group : control_groups(root, "cpu")) {
    std::istringstream version_2(read_text(group / "cpu.max"));
    std::istringstream version_1(
        fmt::format("{} {}", read_text(group / "cpu.cfs_quota_us"), read_text(group / "cpu.cfs_period_us")));
    for (auto* text : {&version_2, &version_1}) {
      double granted_us = 0, period_us = 0;
      if (*text >> granted_us >> period_us && granted_us > 0 && period_us > 0)
        quota = std::min(quota, granted_us / period_us);
    }
  }
  return std::isfinite(quota) ? quota : 0;
}

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(std::thread::hardware_concurrency());  // more than 1,024 processors
}

}  // namespace

MachineFacts machine_facts(const fs::path& root) {
  MachineFacts machine;
  machine.cpu = field(read_text(root / "proc/cpuinfo"), "model name");
  if (machine.cpu.empty()) machine.cpu = "unknown";
  machine.cores = usable_cores();
  machine.cpu_quota = cpu_quota(root);
  machine.isa = name_of(active_isa());
  read_memory(root, machine);
  utsname name{};
  if (::uname(&name) == 0) machine.kernel = fmt::format("{} {}", name.sysname, name.release);
#if defined(__clang__)
  machine.compiler = "clang " __clang_version__;
#else
  machine.compiler = "g++ " __VERSION__;
#endif
  machine.version = SWALLOWTAIL_VERSION;
  return machine;
}

nlohmann::ordered_json to_json(const MachineFacts& machine) {
  return {{"cpu", machine.cpu},
          {"cores", machine.cores},
          {"cpu_quota", machine.cpu_quota},
          {"isa", machine.isa},
          {"memory_total_bytes", machine.memory_total_bytes},
          {"memory_available_bytes", machine.memory_available_bytes},
          {"is_memory_limited", machine.is_memory_limited},
          {"kernel", machine.kernel},
          {"compiler", machine.compiler},
          {"version", machine.version}};
}

}  // namespace swallowtail
