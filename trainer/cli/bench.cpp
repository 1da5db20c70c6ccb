#include "trainer/cli/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>

#include "trainer/cli/command.h"
#include "trainer/config/nearest.h"
#include "trainer/training/threads.h"

namespace swallowtail::cli {
namespace {

constexpr std::array kFlags{
    Flag{"force", "", "measure on a loaded machine too"},
    Flag{"seconds", "S", "alltoall: measure about so long a size (1)"},
    Flag{"largest", "BYTES", "alltoall: the largest chunk a peer (4194304)"},
    Flag{"simulate", "CLUSTER", "alltoall: no measurement; the times on h100, h200 or a cluster file"},
    Flag{"world-size", "N", "alltoall --simulate: ranks, several with commas (64,256,1024,4096)"},
    Flag{"only", "NAME", "kernels, device: those whose family's name contains this; data: criteo_tsv, csv or prepared"},
    Flag{"tiny", "", "device: shapes that an emulated device finishes within seconds"},
    Flag{"shape", "NAME", "train: kaggle, bench, multihot, dcnv2 or small (kaggle)"},
    Flag{"batch", "N", "train: the global batch (the shape's, 2048)"},
    Flag{"steps", "N", "train: steps in a repeat (about half a second)"},
    Flag{"repeats", "N", "train: repeats, of which the median counts (7)"},
    Flag{"losses", "N", "train: give the losses of the first N steps"},
    Flag{"record", "FILE", "train: write initial weights and batches, as safetensors"},
    Flag{"no-limits", "", "train: the steps alone"},
    Flag{"paced", "", "train: a repeat for each line of standard input; its samples/s go to standard error"},
    Flag{"rails", "N", "alltoall --simulate: NICs a node, where the cluster's number is not wanted"},
};
const std::array kBenches{&kBenchAllToAll, &kBenchData, &kBenchDevice, &kBenchKernels, &kBenchTrain};

/// More running programs than this, beside ours, and a time says as much of them as of us.
constexpr double kMostLoad = 0.3;

double load_average() {
  double load = 0;
  std::ifstream("/proc/loadavg") >> load;
  return load;
}

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(std::min(line.size(), line.find(':') + 2));
  return "unknown";
}

const Bench& find_bench(const Arguments& arguments) {
  std::vector<std::string_view> names;
  for (const Bench* bench : kBenches) names.push_back(bench->name);
  const auto& words = arguments.rest();
  if (words.empty()) throw Error{ExitCode::usage, "bench takes a name", "command line", did_you_mean("", names)};
  for (const Bench* bench : kBenches) {
    if (bench->name != words[0]) continue;
    if (words.size() > (bench->takes_experiment ? 2 : 1) ||
        (!bench->takes_experiment && !arguments.overrides().empty()))
      throw Error{ExitCode::usage,
                  fmt::format("bench {} takes {}", bench->name,
                              bench->takes_experiment ? "at most one experiment" : "flags alone"),
                  "command line", "see swallowtail bench --help"};
    return *bench;
  }
  throw Error{ExitCode::usage, fmt::format("unknown benchmark '{}'", arguments.rest()[0]), "command line",
              did_you_mean(arguments.rest()[0], names)};
}

Outcome run(const Arguments& arguments, Ranks& ranks) {
  const Bench& bench = find_bench(arguments);
  const double load = load_average();
  if (measures_machine(arguments)) {
    // All ranks leave together, by what rank 0 sees.
    std::int64_t is_loaded = load > kMostLoad && !arguments.has("force");
    ranks.connect(300).broadcast({"load"}, 0, std::as_writable_bytes(std::span(&is_loaded, 1)));
    if (is_loaded != 0)
      throw Error{ExitCode::usage, fmt::format("other programs are running (load average {:.2f} of 1 minute)", load),
                  "/proc/loadavg", fmt::format("wait until it is below {}, or give --force", kMostLoad)};
  }
  const BenchReport report = bench.run(arguments, ranks);
  Outcome outcome;
  outcome.json = {
      {"bench", bench.name},
      {"machine",
       {{"cpu", cpu_name()}, {"ranks", ranks.world_size()}, {"load_before", load}, {"load_after", load_average()}}},
      {"results", report.results}};
  outcome.json.update(report.more);
  outcome.text = report.text;
  return outcome;
}

}  // namespace

const Command kBench{
    .name = "bench",
    .summary = "measures what this machine, or simulates what a cluster, does",
    .usage = "alltoall|data|device|kernels|train [EXPERIMENT.yaml] [section.key=value ...] [flags]",
    .flags = kFlags,
    .notes =
        "alltoall: each algorithm of the embedding exchange, auto and MPI_Alltoallv itself, from 16 B to 4 MB a peer,\n"
        "in turns, beside the times that the cost model predicts, and the sizes at which auto changes its choice.\n"
        "device: the CUDA kernels beside the device's own copy bandwidth and matrix products, and whole DLRM steps.\n"
        "kernels: embedding, interaction, bpr, auc, cross, sampled_softmax, top_k, kmeans, wire and mlp on this "
        "process's\n"
        "threads, each beside the limit that was measured in turns with it. SWALLOWTAIL_ISA chooses the instruction "
        "set.\n"
        "data: text to batches on one and on all cores, text to the prepared store, and that to batches, beside the\n"
        "reading of the same bytes.\n"
        "train: whole steps of an experiment, or of a shape's synthetic data, on these ranks and threads, beside the\n"
        "model's matrix products alone and its rows read and written alone. Batches lie in memory before the clock "
        "starts.\n"
        "A machine with a load average above 0.3 is refused.",
    .examples =
        "mpirun -n 4 swallowtail bench alltoall --json\n"
        "swallowtail bench kernels --only interaction\n"
        "swallowtail bench train --shape kaggle --batch 128\n"
        "mpirun -n 2 swallowtail bench train --shape bench embedding.optimizer=rowwise_adagrad --json\n"
        "swallowtail bench alltoall --simulate h100 --world-size 1024 --rails 1",
    .run = run};

}  // namespace swallowtail::cli
