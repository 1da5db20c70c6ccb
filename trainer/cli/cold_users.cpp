#include <fmt/format.h>

#include <array>
#include <charconv>

#include "trainer/cli/command.h"
#include "trainer/cli/experiment_argument.h"
#include "trainer/training/sap_studies.h"

namespace swallowtail::cli {
namespace {

constexpr std::array kFlags{
    Flag{"folds", "N", "parts of the users, each once kept out of training; default 5"},
    Flag{"known", "N", "first items of a user that are given; may be repeated; default 0, 2 and 4"},
    Flag{"force", "", "replace an existing run"},
    Flag{"quiet", "", "no progress"},
};

std::int64_t parse_count(const std::string& flag, const std::string& text, std::int64_t least) {
  std::int64_t count = 0;
  const auto [stop, status] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (status != std::errc{} || stop != text.data() + text.size() || count < least)
    throw Error{ExitCode::usage, fmt::format("--{} '{}' is no number from {}", flag, text, least), "command line",
                "give a whole number"};
  return count;
}

Outcome run(const Arguments& arguments, Ranks& ranks) {
  const Experiment experiment = experiment_argument(arguments);
  ColdUsersRequest request{.folds = parse_count("folds", arguments.value("folds", "5"), 2),
                           .known = {},
                           .force = arguments.has("force"),
                           .quiet = arguments.has("quiet")};
  for (const std::string& known : arguments.values("known")) request.known.push_back(parse_count("known", known, 0));
  if (request.known.empty()) request.known = {0, 2, 4};
  Outcome outcome{.json =
                      measure_cold_users(experiment, request, ranks.connect(experiment.number("parallel.timeout_s")))};
  outcome.text =
      fmt::format("{:>6} {:>6} {:>9} {:>11} {:>9} {:>19}\n", "known", "users", "ndcg", "popularity", "", "[95 %]");
  for (const auto& line : outcome.json.at("results"))
    outcome.text +=
        fmt::format("{:>6} {:>6} {:>9.4f} {:>11.4f} {:>+9.4f} {:>19}\n", line.at("known").get<std::int64_t>(),
                    line.at("users").get<std::int64_t>(), line.at("ndcg").at("model").get<double>(),
                    line.at("ndcg").at("popularity").get<double>(), line.at("difference").get<double>(),
                    fmt::format("[{:+.4f}, {:+.4f}]", line.at("low").get<double>(), line.at("high").get<double>()));
  return outcome;
}

}  // namespace

const Command kColdUsers{
    .name = "cold-users",
    .summary = "how well a ranking model serves users who are not in training",
    .usage = "EXPERIMENT.yaml [section.key=value ...] [flags]",
    .flags = kFlags,
    .notes =
        "Each fold of users is once kept wholly out of training. Their first items are given as history (--known), "
        "the\n"
        "rest is asked for, beside the most popular items and with a paired interval. Writes RUN/cold_users.json.",
    .examples =
        "swallowtail cold-users configs/sap_ml100k.yaml run.dir=runs/cold\n"
        "swallowtail cold-users configs/ranking/demographic.yaml --folds 10 --known 0",
    .run = run};

}  // namespace swallowtail::cli
