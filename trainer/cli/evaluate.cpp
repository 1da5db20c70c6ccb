#include <array>
#include <filesystem>

#include "trainer/cli/command.h"
#include "trainer/cli/report_text.h"
#include "trainer/config/experiment.h"
#include "trainer/training/ranking.h"

namespace swallowtail::cli {
namespace {

constexpr std::array kFlags{
    Flag{"checkpoint", "WHICH", "best (default), last, or step-<n>"},
    Flag{"split", "NAME", "train, validation or test; may be repeated; default: validation and test"},
    Flag{"data", "FILE", "other files instead of the splits, reported as 'data'; may be repeated"},
    Flag{"predictions", "FILE", "click models: writes sample, label and probability, tab-separated"},
    Flag{"rankings", "FILE", "ranking models: writes user and ranked items of the test part, tab-separated"},
};
constexpr double kTimeout_s = 300;

/// Whether the run's model ranks items; a folder without a run is left to the evaluation to name.
bool is_ranking_run(const std::filesystem::path& run_dir) {
  const auto file = run_dir / "experiment.yaml";
  return std::filesystem::exists(file) && is_ranking(Experiment::load(file));
}

Outcome run(const Arguments& arguments, Ranks& ranks) {
  const auto& runs = arguments.rest();
  if (runs.empty())
    throw Error{ExitCode::usage, "no run directory was given", "command line",
                "swallowtail evaluate runs/NAME evaluates one"};
  if (runs.size() > 1 && !arguments.value("predictions").empty())
    throw Error{ExitCode::usage, "--predictions is one file, and several runs were given", "command line",
                "evaluate one run at a time"};
  if (runs.size() > 1 && !arguments.value("rankings").empty())
    throw Error{ExitCode::usage, "--rankings is one file, and several runs were given", "command line",
                "evaluate one run at a time"};
  if (!arguments.values("data").empty() && !arguments.values("split").empty())
    throw Error{ExitCode::usage, "--data takes the place of the splits, and --split was given too", "command line",
                "give one of them"};

  EvaluateRequest request{.checkpoint = arguments.value("checkpoint", "best"),
                          .splits = arguments.values("split"),
                          .predictions = arguments.value("predictions"),
                          .rankings = arguments.value("rankings"),
                          .overrides = arguments.overrides()};
  for (const std::string& file : arguments.values("data")) request.data.emplace_back(file);
  Communicator& communicator = ranks.connect(kTimeout_s);
  Outcome outcome;
  auto all = nlohmann::json::array();
  for (const std::string& run_dir : runs) {
    request.run_dir = run_dir;
    all.push_back(is_ranking_run(run_dir) ? evaluate_ranking(request, communicator) : evaluate(request, communicator));
    outcome.text += evaluation_text(all.back());
  }
  outcome.json = runs.size() == 1 ? all[0] : nlohmann::json{{"runs", all}};
  return outcome;
}

}  // namespace

const Command kEvaluate{.name = "evaluate",
                        .summary = "metrics of a run's checkpoint on validation, test, or other data",
                        .usage = "RUN [RUN ...] [section.key=value ...] [flags]",
                        .flags = kFlags,
                        .notes = "RUN is a run directory. With several runs --json gives {\"runs\": [...]}.",
                        .examples =
                            "swallowtail evaluate runs/quickstart\n"
                            "swallowtail evaluate runs/quickstart --checkpoint last --split test --json\n"
                            "mpirun -n 2 swallowtail evaluate runs/quickstart --predictions predictions.tsv\n"
                            "swallowtail evaluate runs/quickstart --data monday.csv --data tuesday.csv\n"
                            "swallowtail evaluate runs/bpr_mf --rankings lists.tsv",
                        .run = run};

}  // namespace swallowtail::cli
