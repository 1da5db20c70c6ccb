#include <fmt/format.h>

#include <array>
#include <charconv>
#include <filesystem>

#include "trainer/cli/command.h"
#include "trainer/cli/experiment_argument.h"
#include "trainer/cli/verify_run.h"
#include "trainer/training/verify.h"

namespace swallowtail::cli {
namespace {

constexpr std::array kFlags{
    Flag{"steps", "N", "steps that are trained and compared; default 20"},
    Flag{"ranks", "N", "without mpirun: numbers of ranks, as threads; may be repeated; default 1 2 3 4 8"},
    Flag{"every-sharding", "", "each kind of sharding beside the experiment's own"},
    Flag{"every-exchange", "", "each all-to-all algorithm beside the experiment's own"},
    Flag{"against", "HASH", "of a RUN: a head of its ledger that was noted down earlier and must still be in it"},
    Flag{"key", "FILE", "of a RUN: the Ed25519 key (PEM) that every record must be signed with"},
    Flag{"merge", "FILE", "of several RUNs: writes their ledgers' records in one list by time"},
};

std::int64_t positive(const std::string& flag, const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > 1'000'000)
    throw Error{ExitCode::usage, fmt::format("--{} wants a whole number above 0, not '{}'", flag, text),
                "command line"};
  return value;
}

Outcome run(const Arguments& arguments, Ranks& ranks) {
  const auto& named = arguments.rest();
  if (!named.empty() && std::filesystem::is_directory(named[0]))
    return ranks.rank() == 0 ? verify_runs(arguments) : Outcome{};
  for (const char* flag : {"against", "key", "merge"})
    if (arguments.has(flag))
      throw Error{ExitCode::usage, fmt::format("--{} is for the directory of a run", flag), "command line",
                  "swallowtail verify runs/NAME"};
  const Experiment experiment = experiment_argument(arguments);
  VerifyRequest request{.every_sharding = arguments.has("every-sharding"),
                        .every_exchange = arguments.has("every-exchange")};
  if (const std::string steps = arguments.value("steps"); !steps.empty()) request.steps = positive("steps", steps);
  if (const auto world_sizes = arguments.values("ranks"); !world_sizes.empty()) {
    request.world_sizes.clear();
    for (const std::string& text : world_sizes)
      request.world_sizes.push_back(static_cast<int>(positive("ranks", text)));
  }
  Outcome outcome;
  // Rank 0 trains alone while the others wait: as long as the whole of it may take.
  outcome.json = verify(experiment, request, ranks.connect(100 * experiment.number("parallel.timeout_s")));
  for (const auto& one : outcome.json.at("cases"))
    outcome.text +=
        fmt::format("{:>3} ranks  {:<15} {:<13} {}\n", one.at("ranks").get<int>(),
                    one.at("sharding").get<std::string>(), one.at("all_to_all").get<std::string>(),
                    one.at("bitwise").get<bool>()
                        ? std::string("the same bits")
                        : fmt::format("differs by {:.2g} ({})", one.at("max_relative_difference").get<double>(),
                                      one.at("worst").get<std::string>()));
  const bool is_equal = outcome.json.at("equal");
  outcome.text +=
      fmt::format("sharded {} unsharded after {} steps\n", is_equal ? "equals" : "DIFFERS from", request.steps);
  outcome.exit_code = is_equal ? ExitCode::done : ExitCode::numbers;
  return outcome;
}

}  // namespace

const Command kVerify{
    .name = "verify",
    .summary = "a run: its ledger and every byte of its checkpoints; an experiment: sharded equals unsharded",
    .usage = "RUN [RUN ...] | EXPERIMENT.yaml [section.key=value ...] [flags]",
    .flags = kFlags,
    .notes =
        "RUN is a run directory: exit code 6 where its ledger or a checkpoint is not what the run\n"
        "wrote (docs/LEDGER.md). EXPERIMENT.yaml is trained sharded and unsharded and compared.\n"
        "Under mpirun its ranks are compared with one; without it, threads stand for the ranks.\n"
        "With train.deterministic=true the bits must be the same. Exit code 4 where they differ.",
    .examples =
        "swallowtail verify runs/quickstart --against 9488dd13...\n"
        "swallowtail verify configs/quickstart.yaml train.deterministic=true --every-sharding\n"
        "mpirun -n 4 swallowtail verify configs/quickstart.yaml embedding.sharding=row_wise --json",
    .run = run};

}  // namespace swallowtail::cli
