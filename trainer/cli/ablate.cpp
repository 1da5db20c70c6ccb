#include <fmt/format.h>

#include <array>

#include "trainer/cli/command.h"
#include "trainer/training/sap_studies.h"

namespace swallowtail::cli {
namespace {

constexpr std::array kFlags{
    Flag{"only", "NAME", "one ablation, such as no_graph, or the name of a component; may be repeated; default: all"},
    Flag{"quiet", "", "no progress"},
};
constexpr double kTimeout_s = 300;

std::string text_of(const nlohmann::json& answer) {
  const auto number = [](const nlohmann::json& line, const char* key) {
    return line.contains(key) && line[key].is_number() ? fmt::format("{:+.4f}", line[key].get<double>()) : "-";
  };
  const std::string metric = answer.at("metric");
  std::string text = fmt::format("{:<20} {:>12} {:>8} {:>19} {:>8} {:>8} {:>19}\n", metric, "validation", "", "[95 %]",
                                 "test", "", "[95 %]");
  for (const auto& line : answer.at("ablation")) {
    text += fmt::format("{:<20}", line.at("name").get<std::string>());
    for (const char* split : {"validation", "test"}) {
      const auto& against = std::string(split) == "test" && line.contains("test") ? line["test"] : line;
      const auto& metrics = line.at("metrics");
      const auto value = metrics.contains(split) ? metrics[split].value(metric, 0.0) : 0.0;
      text += fmt::format(" {:>12.4f} {:>8} {:>19}", value, number(against, "difference"),
                          fmt::format("[{}, {}]", number(against, "low"), number(against, "high")));
    }
    text += '\n';
  }
  return text;
}

Outcome run(const Arguments& arguments, Ranks& ranks) {
  if (arguments.rest().empty())
    throw Error{ExitCode::usage, "no run was given", "command line", "swallowtail ablate runs/sap_ml100k"};
  AblationRequest request{.runs = {}, .names = arguments.values("only"), .quiet = arguments.has("quiet")};
  for (const std::string& run : arguments.rest()) request.runs.emplace_back(run);
  Outcome outcome{.json = ablate_sap(request, ranks.connect(kTimeout_s))};
  outcome.text = text_of(outcome.json);
  return outcome;
}

}  // namespace

const Command kAblate{
    .name = "ablate",
    .summary = "what each part of a run of SAP is worth",
    .usage = "RUN [RUN ...] [flags]",
    .flags = kFlags,
    .notes =
        "Trains the run again without each of its parts; components that stay the same are taken from the run.\n"
        "Several runs, of several seeds, are averaged user by user first. Writes RUN/ablation.json.",
    .examples =
        "swallowtail ablate runs/sap_ml100k\n"
        "swallowtail ablate runs/sap_ml100k --only no_graph --only ease\n"
        "mpirun -n 2 swallowtail ablate runs/seed1 runs/seed2 runs/seed3 --json",
    .run = run};

}  // namespace swallowtail::cli
