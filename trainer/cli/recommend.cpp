#include <fmt/format.h>

#include <array>
#include <charconv>
#include <fstream>

#include "trainer/cli/command.h"
#include "trainer/training/ranking.h"

namespace swallowtail::cli {
namespace {

constexpr std::array kFlags{
    Flag{"user", "ID", "external id of the user; an unknown one is a new user; may be repeated"},
    Flag{"batch", "FILE", "ids of users, one a line"},
    Flag{"k", "N", "items a user; default 10"},
    Flag{"out", "FILE", "writes user and items, tab-separated, best first"},
    Flag{"pool", "FILE", "SAP: writes the pools: user, item, place, scores of the stages, who proposed it, components"},
    Flag{"checkpoint", "WHICH", "best (default), last, or step-<n>"},
};
constexpr double kTimeout_s = 300;

std::int64_t parse_k(const std::string& text) {
  std::int64_t k = 0;
  const auto [stop, status] = std::from_chars(text.data(), text.data() + text.size(), k);
  if (status != std::errc{} || stop != text.data() + text.size() || k < 1)
    throw Error{ExitCode::usage, fmt::format("--k '{}' is no number of items", text), "command line",
                "give a whole number from 1"};
  return k;
}

std::vector<std::string> users_of(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in) throw Error{ExitCode::usage, "cannot read the file of users", file.string(), "correct the path"};
  std::vector<std::string> users;
  for (std::string line; std::getline(in, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) users.push_back(line);
  }
  return users;
}

std::string text_of(const nlohmann::json& answer) {
  std::string text =
      fmt::format("swallowtail: user {}{}\n", answer.at("user").get<std::string>(),
                  answer.at("by_popularity").get<bool>() ? ": nothing is known, the most popular items" : "");
  for (const auto& item : answer.at("items")) {
    text += fmt::format("{:>12}  {:.6g}", item.at("item").get<std::string>(), item.at("score").get<double>());
    std::string likes, components;
    for (const auto& reason : item.at("reasons"))
      if (reason.contains("item"))
        likes += fmt::format("{}{}", likes.empty() ? "  like " : ", ", reason.at("item").get<std::string>());
      else
        components += fmt::format("{}{} {:.0f} %", components.empty() ? "  by " : ", ",
                                  reason.at("component").get<std::string>(), 100 * reason.at("share").get<double>());
    text += components + likes;
    text += '\n';
  }
  return text;
}

Outcome run(const Arguments& arguments, Ranks& ranks) {
  if (arguments.rest().size() != 1)
    throw Error{ExitCode::usage, fmt::format("{} run directories were given", arguments.rest().size()), "command line",
                "swallowtail recommend runs/NAME --user ID"};
  RecommendRequest request{.run_dir = arguments.rest()[0],
                           .checkpoint = arguments.value("checkpoint", "best"),
                           .users = arguments.values("user"),
                           .k = parse_k(arguments.value("k", "10")),
                           .out = arguments.value("out"),
                           .pool = arguments.value("pool")};
  for (const std::string& file : arguments.values("batch"))
    for (std::string& user : users_of(file)) request.users.push_back(std::move(user));
  if (request.users.empty())
    throw Error{ExitCode::usage, "no user was given", "command line", "give --user ID or --batch FILE"};
  Outcome outcome{.json = recommend(request, ranks.connect(kTimeout_s))};
  for (const auto& [what, file] : {std::pair("pools", request.pool), std::pair("lists", request.out)})
    if (!file.empty())
      outcome.text += fmt::format("swallowtail: {} of {} users are in {}\n", what, request.users.size(), file.string());
  if (!outcome.text.empty()) return outcome;
  if (outcome.json.contains("users"))
    for (const auto& answer : outcome.json["users"]) outcome.text += text_of(answer);
  else
    outcome.text = text_of(outcome.json);
  return outcome;
}

}  // namespace

const Command kRecommend{
    .name = "recommend",
    .summary = "the best items for users of a ranking run",
    .usage = "RUN --user ID [--user ID ...] [--batch FILE] [flags]",
    .flags = kFlags,
    .notes =
        "Items that a user has in training or validation are left out. With several users --json gives\n"
        "{\"users\": [...]}; with --out or --pool it names the file instead of the lists.",
    .examples =
        "swallowtail recommend runs/bpr_mf --user 196 --k 5\n"
        "swallowtail recommend runs/bpr_mf --user 196 --json\n"
        "swallowtail recommend runs/bpr_mf --batch users.txt --out lists.tsv\n"
        "swallowtail recommend runs/sap_ml100k --user 196 --pool pool.tsv",
    .run = run};

}  // namespace swallowtail::cli
