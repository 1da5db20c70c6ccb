#include "trainer/training/tune.h"

#include <fmt/format.h>

#include <array>

#include "trainer/cli/command.h"
#include "trainer/cli/experiment_argument.h"

namespace swallowtail::cli {
namespace {

constexpr std::array kFlags{
    Flag{"resume", "", "go on with the search: finished trials are not done again"},
    Flag{"force", "", "replace an existing search"},
    Flag{"quiet", "", "no line a trial, no closing lines"},
};

// With tune.parallel: trials a rank that is ready waits for the others' trainings, which may take any time; a rank that
// dies ends the run through mpirun.
constexpr double kLong_s = 1e7;

std::string parameters_text(const nlohmann::json& parameters) {
  std::string text;
  for (const auto& [key, value] : parameters.items())
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", key, value.get<std::string>());
  return text;
}

std::string tune_text(const nlohmann::json& summary) {
  std::string text = fmt::format("swallowtail: {} trials, {} failed, {:.1f} s{}\n", summary.at("trials").get<int>(),
                                 summary.at("failed").get<int>(), summary.at("seconds").get<double>(),
                                 summary.at("out_of_time").get<bool>() ? "; tune.budget_s is spent" : "");
  if (summary.at("best").is_null()) return text;
  const nlohmann::json& best = summary.at("best");
  text +=
      fmt::format("swallowtail: best {} {:.5g} in trial {}: {}\n", summary.at("metric").get<std::string>(),
                  best.at("value").get<double>(), best.at("trial").get<int>(), parameters_text(best.at("parameters")));
  return text + fmt::format("swallowtail: train it with: swallowtail train {}\n",
                            summary.at("best_experiment").get<std::string>());
}

Outcome run(const Arguments& arguments, Ranks& ranks) {
  if (arguments.has("resume") && arguments.has("force"))
    throw Error{ExitCode::usage, "--resume goes on with a search and --force replaces it", "command line",
                "give one of them"};
  const Experiment experiment = experiment_argument(arguments);
  const TuneRequest request{.resume = arguments.has("resume"),
                            .force = arguments.has("force"),
                            .quiet = arguments.has("quiet"),
                            .command = arguments.command_line()};
  const bool trains_alone = experiment.text("tune.parallel") == "trials";
  Communicator& communicator = ranks.connect(trains_alone ? kLong_s : experiment.number("parallel.timeout_s"));
  Outcome outcome{.json = tune(experiment, request, communicator), .text = {}};
  if (!request.quiet) outcome.text = tune_text(outcome.json);
  return outcome;
}

}  // namespace

const Command kTune{.name = "tune",
                    .summary = "searches the keys that tune.parameters names and writes the best experiment",
                    .usage = "EXPERIMENT.yaml [section.key=value ...] [flags]",
                    .flags = kFlags,
                    .notes =
                        "The search lies in the run's directory: trials.jsonl, best.yaml, summary.json and a run for\n"
                        "each trial. tune.parallel=trials gives every rank trials of its own.",
                    .examples =
                        "swallowtail tune my.yaml tune.trials=30 tune.method=tpe\n"
                        "mpirun -n 4 swallowtail tune my.yaml tune.parallel=trials --resume\n"
                        "swallowtail train runs/my/best.yaml",
                    .run = run};

}  // namespace swallowtail::cli
