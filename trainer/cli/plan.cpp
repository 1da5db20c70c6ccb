#include "trainer/training/plan.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "trainer/cli/command.h"
#include "trainer/cli/experiment_argument.h"
#include "trainer/config/nearest.h"

namespace swallowtail::cli {
namespace {

constexpr int kMostRanks = 1 << 16;

constexpr std::array kFlags{
    Flag{"world-size", "N", "ranks to plan for; by default those that run the command"},
    Flag{"cluster", "NAME|FILE",
         "h100, h200, a100, gb200, cpu (the default), or a file like configs/clusters/h100.yaml"},
    Flag{"svg", "FILE", "a picture of the ranks' load"},
    Flag{"validate", "", "the model against published results, and against steps measured on the ranks at hand"},
};

int world_size_of(const Arguments& arguments, const Ranks& ranks) {
  if (!arguments.has("world-size")) return ranks.world_size();
  const std::string text = arguments.value("world-size");
  int world_size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), world_size);
  if (error != std::errc{} || end != text.data() + text.size() || world_size < 1 || world_size > kMostRanks)
    throw Error{ExitCode::usage, fmt::format("--world-size '{}' is no number of ranks", text), "command line",
                fmt::format("give a number from 1 to {}", kMostRanks)};
  return world_size;
}

Outcome run(const Arguments& arguments, Ranks& ranks) {
  const Experiment experiment = experiment_argument(arguments);
  Communicator& connected = ranks.connect(experiment.number("parallel.timeout_s"));
  if (arguments.has("validate")) {
    for (const char* flag : {"world-size", "cluster", "svg"})
      if (arguments.has(flag))
        throw Error{ExitCode::usage, fmt::format("--validate takes no --{}", flag), "command line",
                    "it measures on the ranks that run it: mpirun -n 2 swallowtail plan EXPERIMENT.yaml --validate"};
    PlanAnswer answer = validate_plan(experiment, connected);
    return {.json = std::move(answer.json), .text = std::move(answer.text)};
  }
  PlanRequest request{.world_size = world_size_of(arguments, ranks), .cluster = arguments.value("cluster", "cpu")};
  request.svg = arguments.value("svg");
  PlanAnswer answer = plan(experiment, request, connected);
  return {.json = std::move(answer.json), .text = std::move(answer.text)};
}

}  // namespace

const Command kPlan{.name = "plan",
                    .summary = "says on paper what a cluster would do: sharding, memory, step time",
                    .usage = "EXPERIMENT.yaml [section.key=value ...] [flags]",
                    .flags = kFlags,
                    .notes =
                        "Needs no GPU and no data where the experiment's data are synthetic; else an earlier run's "
                        "prepared statistics.\n"
                        "The clusters' constants and their sources stand in configs/clusters.\n"
                        "Where no plan fits into memory the command ends with exit code 7 and the missing bytes.",
                    .examples =
                        "swallowtail plan configs/plan_mlperf_dcnv2.yaml --world-size 8 --cluster h100\n"
                        "swallowtail plan configs/plan_mlperf_dcnv2.yaml train.batch_size=135168 --world-size 128 "
                        "--cluster h100 --json\n"
                        "swallowtail plan configs/synthetic_small.yaml --world-size 16 --svg load.svg\n"
                        "mpirun -n 2 swallowtail plan configs/synthetic_small.yaml --validate",
                    .run = run};

}  // namespace swallowtail::cli
