#include "trainer/cli/machine.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

namespace swallowtail::cli {
namespace {

std::string first_line(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

/// Folders of this process's cgroup for `controller` ("memory", "cpu"; empty for version 2), innermost first.
std::vector<std::filesystem::path> cgroup_folders(const std::string& controller) {
  std::ifstream in("/proc/self/cgroup");
  const std::filesystem::path root = controller.empty() ? "/sys/fs/cgroup" : "/sys/fs/cgroup/" + controller;
  std::vector<std::filesystem::path> folders;
  for (std::string line; std::getline(in, line);) {  // "4:memory:/docker/…", or "0::/user.slice/…"
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::istringstream controllers(line.substr(first + 1, second - first - 1));
    std::string name;
    bool is_ours = controller.empty() && second == first + 1;
    while (std::getline(controllers, name, ',')) is_ours = is_ours || (name == controller && !controller.empty());
    if (!is_ours) continue;
    // Inside a container the path is often that of the host, and only the root of the mount exists.
    for (std::filesystem::path path = line.substr(second + 1); path.has_relative_path(); path = path.parent_path())
      folders.push_back(root / path.relative_path());
  }
  folders.push_back(root);
  return folders;
}

std::optional<std::int64_t> smallest_memory_limit() {
  std::optional<std::int64_t> smallest;
  const auto consider = [&](const std::filesystem::path& file) {
    std::int64_t bytes = 0;
    std::istringstream in(first_line(file));
    if (!(in >> bytes) || bytes <= 0 || bytes > (std::int64_t{1} << 60)) return;  // "max", or version 1's huge "none"
    smallest = std::min(smallest.value_or(bytes), bytes);
  };
  for (const auto& folder : cgroup_folders("")) consider(folder / "memory.max");
  for (const auto& folder : cgroup_folders("memory")) consider(folder / "memory.limit_in_bytes");
  return smallest;
}

/// Cores by the cgroup's quota; huge where there is none.
double quota_cores() {
  double cores = 1e9;
  for (const auto& folder : cgroup_folders("")) {
    double quota = 0, period = 0;
    std::istringstream in(first_line(folder / "cpu.max"));
    if (in >> quota >> period && quota > 0 && period > 0) cores = std::min(cores, quota / period);
  }
  for (const auto& folder : cgroup_folders("cpu")) {
    double quota = 0, period = 0;
    std::istringstream quota_in(first_line(folder / "cpu.cfs_quota_us"));
    std::istringstream period_in(first_line(folder / "cpu.cfs_period_us"));
    if (quota_in >> quota && period_in >> period && quota > 0 && period > 0) cores = std::min(cores, quota / period);
  }
  return cores;
}

}  // namespace

int usable_cores() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  const double allowed = sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : static_cast<double>(online);
  return std::max(1, static_cast<int>(std::ceil(std::min(allowed, quota_cores()))));
}

Memory memory() {
  Memory memory;
  std::ifstream in("/proc/meminfo");
  std::string key, unit;
  for (std::int64_t kib = 0; in >> key >> kib; std::getline(in, unit)) {
    if (key == "MemTotal:") memory.total_bytes = kib * 1024;
    if (key == "MemAvailable:") memory.available_bytes = kib * 1024;
  }
  memory.limit_bytes = smallest_memory_limit();
  return memory;
}

std::string cpu_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name") && line.find(": ") != std::string::npos) return line.substr(line.find(": ") + 2);
  return {};
}

std::string human_bytes(double bytes) {
  constexpr std::array kUnits{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
  std::size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < kUnits.size(); ++unit) bytes /= 1024;
  return unit == 0 ? fmt::format("{:.0f} bytes", bytes) : fmt::format("{:.1f} {}", bytes, kUnits[unit]);
}

}  // namespace swallowtail::cli
