#include <fmt/format.h>
#include <glob.h>

#include <array>
#include <charconv>
#include <filesystem>

#include "trainer/cli/command.h"
#include "trainer/cli/ledger_record.h"
#include "trainer/cli/report_text.h"
#include "trainer/config/experiment.h"
#include "trainer/files/sha256.h"
#include "trainer/training/compare.h"
#include "trainer/training/ranking.h"

namespace swallowtail::cli {
namespace {

constexpr std::array kFlags{
    Flag{"checkpoint", "WHICH", "best (default), last, or step-<n>"},
    Flag{"split", "NAME", "train, validation or test; may be repeated; default: validation and test"},
    Flag{"data", "FILE", "other files instead of the splits, reported as 'data'; may be repeated"},
    Flag{"predictions", "FILE", "click models: writes sample, label and probability, tab-separated"},
    Flag{"rankings", "FILE", "ranking models: writes user and ranked items of the test part, tab-separated"},
    Flag{"compare", "", "compares the runs: intervals and paired tests by user (ranking) or sample (click models)"},
    Flag{"resamples", "N", "with --compare: resamples of the bootstrap and flips of the test; default: 2000"},
};
constexpr double kTimeout_s = 300;

/// What was measured of which checkpoint stands in the run's ledger, with the digests of other files that it was on.
std::string record(const EvaluateRequest& request, const nlohmann::json& result) {
  nlohmann::json payload = {{"checkpoint", result.at("checkpoint")}, {"metrics", result.at("metrics")}};
  for (const auto& path : request.data)
    payload["data"].push_back(
        {{"file", path.string()}, {"sha256", std::filesystem::is_regular_file(path) ? sha256_of_file(path) : ""}});
  if (!request.overrides.empty()) payload["overrides"] = request.overrides;
  return record_in_ledger(request.run_dir, Experiment::load(request.run_dir / "experiment.yaml"), "evaluation",
                          payload);
}

/// Whether the run's model ranks items; a folder without a run is left to the evaluation to name.
bool is_ranking_run(const std::filesystem::path& run_dir) {
  const auto file = run_dir / "experiment.yaml";
  return std::filesystem::exists(file) && is_ranking(Experiment::load(file));
}

/// Runs by name or glob.
std::vector<std::filesystem::path> runs_of(const Arguments& arguments) {
  std::vector<std::filesystem::path> runs;
  for (const std::string& pattern : arguments.rest()) {
    glob_t found{};
    if (glob(pattern.c_str(), GLOB_NOCHECK | GLOB_ONLYDIR, nullptr, &found) == 0)
      for (std::size_t i = 0; i < found.gl_pathc; ++i) runs.emplace_back(found.gl_pathv[i]);
    globfree(&found);
  }
  return runs;
}

Outcome compare(const Arguments& arguments, Ranks& ranks) {
  for (const char* other : {"predictions", "rankings", "data"})
    if (!arguments.value(other).empty())
      throw Error{ExitCode::usage, fmt::format("--{} is not for --compare", other), "command line", "leave it out"};
  if (arguments.values("split").size() > 1)
    throw Error{ExitCode::usage, "runs are compared on one part", "command line", "give --split once"};
  CompareRequest request{.runs = runs_of(arguments),
                         .checkpoint = arguments.value("checkpoint", "best"),
                         .split = arguments.value("split")};
  const std::string resamples = arguments.value("resamples", "2000");
  const auto [stop, status] = std::from_chars(resamples.data(), resamples.data() + resamples.size(), request.resamples);
  if (status != std::errc{} || stop != resamples.data() + resamples.size() || request.resamples < 1)
    throw Error{ExitCode::usage, fmt::format("--resamples wants a number, not '{}'", resamples), "command line",
                "give a whole number from 1 on"};
  Outcome outcome{.json = compare_runs(request, ranks.connect(kTimeout_s)), .text = {}};
  outcome.text = comparison_text(outcome.json);
  return outcome;
}

Outcome run(const Arguments& arguments, Ranks& ranks) {
  const auto& runs = arguments.rest();
  if (runs.empty())
    throw Error{ExitCode::usage, "no run directory was given", "command line",
                "swallowtail evaluate runs/NAME evaluates one"};
  if (arguments.has("compare")) return compare(arguments, ranks);
  if (!arguments.value("resamples").empty())
    throw Error{ExitCode::usage, "--resamples is about --compare, which was not given", "command line",
                "give both, or neither"};
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
    if (ranks.rank() == 0) outcome.text += record(request, all.back());
    outcome.text += evaluation_text(all.back());
  }
  outcome.json = runs.size() == 1 ? all[0] : nlohmann::json{{"runs", all}};
  return outcome;
}

}  // namespace

const Command kEvaluate{
    .name = "evaluate",
    .summary = "metrics of a run's checkpoint on validation, test, or other data",
    .usage = "RUN [RUN ...] [section.key=value ...] [flags]",
    .flags = kFlags,
    .notes =
        "RUN is a run directory. With several runs --json gives {\"runs\": [...]}. What was measured is\n"
        "recorded in the run's ledger.\n"
        "--compare takes runs that differ in the seed alone as one entry, averaged by unit "
        "first.",
    .examples =
        "swallowtail evaluate runs/quickstart\n"
        "swallowtail evaluate runs/quickstart --checkpoint last --split test --json\n"
        "mpirun -n 2 swallowtail evaluate runs/quickstart --predictions predictions.tsv\n"
        "swallowtail evaluate runs/quickstart --data monday.csv --data tuesday.csv\n"
        "swallowtail evaluate runs/bpr_mf --rankings lists.tsv\n"
        "swallowtail evaluate 'runs/bpr_mf-*' 'runs/sasrec-*' --compare",
    .run = run};

}  // namespace swallowtail::cli
