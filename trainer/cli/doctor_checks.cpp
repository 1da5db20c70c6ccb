#include "trainer/cli/doctor_checks.h"

#include <fmt/format.h>
#include <link.h>
#include <mpi.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <torch/version.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "trainer/cli/report_text.h"
#include "trainer/report/machine.h"

namespace swallowtail::cli {
namespace {

constexpr double kGiB = 1024.0 * 1024 * 1024;

/// What a program prints, standard error left out; empty when it is absent or fails.
std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen((command + " 2>/dev/null").c_str(), "r"), pclose);
  std::string text;
  std::array<char, 512> part;
  while (pipe && std::fgets(part.data(), part.size(), pipe.get()) != nullptr) text += part.data();
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

Finding check_cpu(const MachineFacts& machine) {
  Finding finding{.name = "cpu", .value = fmt::format("{}; {}", machine.cpu, machine.isa)};
  if (!machine.isa.starts_with("avx")) {
    finding.status = Status::warn;
    finding.advice = "LibTorch and the kernels are several times slower without AVX2 and FMA";
  }
  return finding;
}

Finding check_cores(int local_ranks, int cores) {
  const char* threads = std::getenv("OMP_NUM_THREADS");
  Finding finding{.name = "cores",
                  .value = fmt::format("{} usable, {} rank{} here", cores, local_ranks, local_ranks == 1 ? "" : "s")};
  if (threads != nullptr) finding.value += fmt::format(", OMP_NUM_THREADS={}", threads);
  if (local_ranks > cores) {
    finding.status = Status::warn;
    finding.advice = fmt::format("more ranks than cores slow each other down; start at most {} here", cores);
  } else if (threads != nullptr && static_cast<long>(local_ranks) * std::atol(threads) > cores) {
    finding.status = Status::warn;
    finding.advice = "ranks times OMP_NUM_THREADS is more than the cores; unset OMP_NUM_THREADS";
  }
  return finding;
}

Finding check_memory(const MachineFacts& machine) {
  const auto available = static_cast<double>(machine.memory_available_bytes);
  Finding finding{.name = "memory",
                  .value = fmt::format("{} available of {}{}", human_bytes(available),
                                       human_bytes(static_cast<double>(machine.memory_total_bytes)),
                                       machine.is_memory_limited ? ", by the control group's limit" : "")};
  if (available < 1 * kGiB) {
    finding.status = Status::warn;
    finding.advice = "less than 1 GiB; train --dry-run prints what an experiment needs";
  }
  return finding;
}

Finding check_mpi_library() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  MPI_Get_library_version(text.data(), &length);
  const std::string_view all(text.data());
  return {.name = "mpi", .value = std::string(all.substr(0, all.find(", package")))};
}

Finding check_mpi_threads() {
  int level = MPI_THREAD_SINGLE;
  MPI_Query_thread(&level);
  constexpr std::array kLevels{std::pair{MPI_THREAD_SINGLE, "single"}, std::pair{MPI_THREAD_FUNNELED, "funneled"},
                               std::pair{MPI_THREAD_SERIALIZED, "serialized"},
                               std::pair{MPI_THREAD_MULTIPLE, "multiple"}};
  Finding finding{.name = "mpi threads"};
  for (const auto& [value, name] : kLevels)
    if (value == level) finding.value = name;
  if (level != MPI_THREAD_MULTIPLE) {
    finding.status = Status::warn;
    finding.advice = "use an MPI that was built with MPI_THREAD_MULTIPLE";
  }
  return finding;
}

Finding check_root() {
  if (geteuid() != 0) return {.name = "user", .value = "not root"};
  const bool is_allowed = std::getenv("OMPI_ALLOW_RUN_AS_ROOT") && std::getenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM");
  if (is_allowed) return {.name = "user", .value = "root, which mpirun is told to accept"};
  return {.name = "user",
          .status = Status::warn,
          .value = "root, which mpirun refuses",
          .advice = "set OMPI_ALLOW_RUN_AS_ROOT=1 and OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1, or be another user"};
}

/// Free space of the file system that holds `path`.
Finding check_space(std::string_view name, const std::string& path, double least_bytes, std::string advice) {
  struct statvfs stats {};
  if (statvfs(path.c_str(), &stats) != 0)
    return {.name = name, .status = Status::fail, .value = path + " cannot be read", .advice = std::move(advice)};
  const double free = static_cast<double>(stats.f_bavail) * static_cast<double>(stats.f_frsize);
  Finding finding{.name = name, .value = fmt::format("{} free in {}", human_bytes(free), path)};
  if (free < least_bytes) {
    finding.status = Status::warn;
    finding.advice = std::move(advice);
  }
  return finding;
}

Finding check_folder_writable() {
  const std::string here = std::filesystem::current_path();
  if (access(here.c_str(), W_OK) == 0) return {.name = "run folder", .value = here + " is writable"};
  return {.name = "run folder",
          .status = Status::warn,
          .value = here + " is not writable",
          .advice = "runs are written under the current folder; go to another one, or set run.dir"};
}

Finding check_open_files() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  Finding finding{.name = "open files",
                  .value = limit.rlim_cur == RLIM_INFINITY ? "unlimited" : fmt::format("{}", limit.rlim_cur)};
  if (limit.rlim_cur < 1024) {
    finding.status = Status::warn;
    finding.advice = "ulimit -n 4096";
  }
  return finding;
}

Finding check_gpu() {
  const std::string gpus = output_of("nvidia-smi --query-gpu=name,memory.total --format=csv,noheader");
  if (gpus.empty()) return {.name = "gpu", .value = "none (nvidia-smi names none); training is on the CPU"};
  std::string names = gpus;
  for (auto at = names.find('\n'); at != std::string::npos; at = names.find('\n', at)) names.replace(at, 1, "; ");
  return {.name = "gpu", .value = names + "; this build trains on the CPU"};
}

Finding check_libtorch() {
  std::string path;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* found) {
        if (std::string_view(info->dlpi_name).ends_with("/libtorch_cpu.so"))
          *static_cast<std::string*>(found) = info->dlpi_name;
        return 0;
      },
      &path);
  if (path.empty())
    return {.name = "libtorch",
            .status = Status::fail,
            .value = "not loaded",
            .advice = "run scripts/setup, then scripts/build"};
  return {.name = "libtorch", .value = fmt::format("{} from {}", TORCH_VERSION, path)};
}

Finding check_slurm() {
  if (output_of("command -v sbatch").empty()) return {.name = "slurm", .value = "none; mpirun starts the ranks"};
  const std::string version = output_of("timeout 5 sinfo --version");  // fails where no cluster is configured
  if (version.empty()) return {.name = "slurm", .value = "installed, but no cluster answers; mpirun starts the ranks"};
  const char* job = std::getenv("SLURM_JOB_ID");
  return {.name = "slurm", .value = version + (job ? fmt::format(", in job {}", job) : ", not in a job")};
}

}  // namespace

std::vector<Finding> examine_machine(int local_ranks, int cores) {
  const MachineFacts machine = machine_facts();
  return {check_cpu(machine),
          check_cores(local_ranks, cores),
          check_memory(machine),
          check_space("shared memory", "/dev/shm", 0.06 * kGiB,
                      "ranks of one machine exchange through it; in a container use --shm-size=1g"),
          check_mpi_library(),
          check_mpi_threads(),
          check_root(),
          check_folder_writable(),
          check_space("disk", std::filesystem::current_path(), 1 * kGiB,
                      "checkpoints need room; free some, or set run.dir"),
          check_open_files(),
          check_gpu(),
          check_libtorch(),
          check_slurm()};
}

}  // namespace swallowtail::cli
