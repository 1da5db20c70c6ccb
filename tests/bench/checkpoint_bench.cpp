// How fast checkpoints are saved and loaded, on threads that stand for ranks: checkpoint_bench.py compares with dd.
//   checkpoint_bench save|behind|load|verify FOLDER GIGABYTES RANKS
// Prints the seconds of the call (behind: of its stall alone, then of the whole) and the MiB that it took beside the
// tables.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

#include "kernels/huge_pages.h"
#include "parallel/local_communicator.h"
#include "trainer/checkpoint/table_piece.h"
#include "trainer/checkpoint/writer.h"

namespace {

using namespace swallowtail;

constexpr std::int64_t kDim = 64;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// A field of /proc/self/status, in MiB.
double status_mib(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field)) return std::atof(line.c_str() + field.size()) / 1024;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const std::string what = argv[1], folder = argv[2];
  const auto rows = static_cast<std::int64_t>(std::atof(argv[3]) * 1e9 / (4 * kDim));
  const int world_size = std::atoi(argv[4]);
  std::mutex mutex;
  double stall = 0, whole = 0, resident = 0;
  run_ranks(
      world_size,
      [&](Communicator& ranks) {
        const std::int64_t first = rows * ranks.rank() / world_size, end = rows * (ranks.rank() + 1) / world_size;
        const TablePiece piece{"t", "weights", rows, kDim, true, {ranks.rank(), first, end - first, 0, kDim}};
        HugeVector<float> values(static_cast<std::size_t>((end - first) * kDim));
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 65521);
        const std::vector<TensorRef> mine{
            {fmt::format("t{}", ranks.rank()), "F32", {end - first, kDim}, std::as_bytes(std::span(values)), piece}};
        CheckpointWriter writer(folder, ranks, {.async = what == "behind"});
        if (what == "behind") {  // the second save of a run, whose buffers are there
          writer.start({1, {}}, mine);
          writer.join();
        }
        ranks.barrier(Tag{"start", 0});
        if (ranks.rank() == 0) {
          std::ofstream("/proc/self/clear_refs") << 5;  // the peak begins anew
          resident = status_mib("VmRSS:");
        }
        ranks.barrier(Tag{"ready", 0});
        const auto start = std::chrono::steady_clock::now();
        double here = 0;
        if (what == "save" || what == "behind") {
          writer.start({2, {}}, mine);
          here = seconds_since(start);
          if (writer.join()->error) std::exit(7);
        } else if (what == "load") {
          fill_table_part(Checkpoint::open(folder, 2), piece, sizeof(float), std::as_writable_bytes(std::span(values)));
        } else if (ranks.rank() == 0) {
          Checkpoint::open(folder, 2).verify(2);
        }
        ranks.barrier(Tag{"end", 0});
        const std::scoped_lock lock(mutex);
        stall = std::max(stall, here);
        whole = std::max(whole, seconds_since(start));
      },
      {.timeout_s = 600});
  fmt::print("{} {} {:.1f}\n", stall, whole, status_mib("VmHWM:") - resident);
}
