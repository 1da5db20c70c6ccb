#include "kernels/isa.h"
#include "trainer/cli/bench.h"
#include "trainer/cli/kernel_timings.h"
#include "trainer/cli/mlp_timings.h"

namespace swallowtail::cli {
namespace {

BenchReport run(const Arguments& arguments, Ranks& ranks) {
  if (ranks.world_size() > 1)
    throw Error{ExitCode::usage, "bench kernels measures one process", "command line", "start it without mpirun"};
  BenchReport report;
  const KernelTimingOptions options{.only = std::string(arguments.value("only", ""))};
  auto timings = time_kernels(options);
  time_mlp(options, timings);
  if (timings.empty())
    throw Error{ExitCode::usage, "no kernel's name contains what --only says", "command line",
                "give embedding, interaction, bpr, auc, cross, sampled_softmax, top_k, kmeans, wire or mlp"};
  for (const KernelTiming& timing : timings) report.results.push_back(to_json(timing));
  report.more = {{"isa", name_of(active_isa())}};
  report.text = table_of(timings);
  return report;
}

}  // namespace

const Bench kBenchKernels{.name = "kernels", .summary = "the CPU kernels beside the machine's limits", .run = run};

}  // namespace swallowtail::cli
