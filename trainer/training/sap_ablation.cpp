#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>

#include "trainer/evaluation/bootstrap.h"
#include "trainer/files/durable_file.h"
#include "trainer/sap/ablations.h"
#include "trainer/training/ranking_run.h"
#include "trainer/training/run_report.h"
#include "trainer/training/sap_studies.h"
#include "trainer/training/sap_workshop.h"

namespace swallowtail {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

/// NDCG of every user of both parts, in the order of users.
struct UserFigures {
  std::vector<double> validation, test;
  json metrics;
};

std::vector<double> ndcg_of_users(RankingSession& session, RankedPart part, std::int64_t k, json& metrics) {
  const RankingResult result = rank_part(session, part);
  for (const auto& [name, value] : result.metrics) metrics[name] = value ? json(*value) : json(nullptr);
  const Histories& wanted = part == RankedPart::test ? session.data.test : session.data.validation;
  std::vector<double> values;
  for (std::size_t row = 0; row < result.users.size(); ++row) {
    std::vector<std::int64_t> relevant(wanted.of(result.users[row]).begin(), wanted.of(result.users[row]).end());
    std::ranges::sort(relevant);
    relevant.erase(std::unique(relevant.begin(), relevant.end()), relevant.end());
    values.push_back(user_metrics(result.lists.of(static_cast<std::int64_t>(row)), relevant, k).ndcg);
  }
  return values;
}

UserFigures figures_of(RankingSession& session) {
  const std::int64_t k = session.experiment.integers("evaluation.k").front();
  UserFigures figures;
  if (session.data.has_validation())
    figures.validation = ndcg_of_users(session, RankedPart::validation, k, figures.metrics["validation"]);
  if (session.data.has_test()) figures.test = ndcg_of_users(session, RankedPart::test, k, figures.metrics["test"]);
  return figures;
}

/// The session of one ablation of a run: trained now, gone on with, or as it was.
std::unique_ptr<RankingSession> ablated(const fs::path& run, const Experiment& experiment, const Ablation& ablation,
                                        bool quiet, Communicator& ranks) {
  std::string word = ablation.name;
  std::ranges::replace(word, ' ', '_');
  const fs::path folder = fs::absolute(run) / "ablations" / word;
  std::vector<std::string> overrides = ablation.overrides;
  overrides.push_back("name=" + json(experiment.text("name") + ", " + ablation.name).dump());
  overrides.push_back("run.dir=" + json(folder.string()).dump());
  const fs::path parts = experiment.has("sap.reuse") ? experiment.path("sap.reuse") : fs::absolute(run);
  overrides.push_back("sap.reuse=" + json(parts.string()).dump());
  const Experiment changed = Experiment::parse(experiment.to_yaml(), overrides);
  Interactions data = open_interactions(changed, run, ranks, InteractionsFrom::run);
  std::int64_t state = 0;  // 1: begun; 2: done
  if (ranks.rank() == 0) {
    fs::create_directories(folder.parent_path());
    std::ifstream in(folder / "experiment.yaml");
    const std::string before{std::istreambuf_iterator<char>(in), {}};
    state = before != changed.to_yaml() ? 0 : fs::exists(folder / "summary.json") ? 2 : 1;
  }
  ranks.broadcast(Tag{"ablation"}, 0, std::as_writable_bytes(std::span(&state, 1)));
  if (state == 2) return open_trained(changed, std::move(data), folder, "best", ranks);
  const TrainRequest request{.resume = state == 1, .force = state == 0, .quiet = quiet, .command = "ablation"};
  return train_ranking_run(changed, folder, request, ranks, [&] { return std::move(data); }).session;
}

}  // namespace

json ablate_sap(const AblationRequest& request, Communicator& ranks) {
  std::map<std::string, std::vector<UserFigures>> figures;  // of every run
  std::vector<Ablation> order;
  std::string metric;
  for (const fs::path& run : request.runs) {
    if (!fs::exists(run / "summary.json"))
      throw Error{ExitCode::usage, "there is no finished run here", run.string(), "train it, or go on with --resume"};
    const Experiment experiment = Experiment::load(run / "experiment.yaml");
    if (experiment.text("model.type") != "sap")
      throw Error{ExitCode::usage, "the run is none of SAP", run.string(), "name a run of model.type: sap"};
    metric = fmt::format("ndcg@{}", experiment.integers("evaluation.k").front());
    std::string best_alone;
    double best = -1;
    const json summary = json::parse(std::ifstream(run / "summary.json"));
    const json alone = summary.value("/stages/figures/alone"_json_pointer, json::object());
    for (const auto& [name, value] : alone.items())
      if (value.get<double>() > best) {
        best = value.get<double>();
        best_alone = name;
      }
    std::vector<Ablation> wanted;
    if (request.names.empty()) wanted = ablations_of(experiment, best_alone);
    for (const std::string& name : request.names) wanted.push_back(find_ablation(experiment, name, best_alone));
    wanted.insert(wanted.begin(), Ablation{"full", "everything", {}});
    for (const Ablation& ablation : wanted) {
      if (!request.quiet && ranks.rank() == 0)
        std::cerr << fmt::format("swallowtail: ablation of {}: {}\n", run.string(), ablation.name);
      const auto session =
          ablation.name == "full"
              ? open_trained(experiment, open_interactions(experiment, run, ranks, InteractionsFrom::run), run, "best",
                             ranks)
              : ablated(run, experiment, ablation, request.quiet, ranks);
      figures[ablation.name].push_back(figures_of(*session));
    }
    if (order.empty()) order = wanted;
  }

  // Each user averaged over the runs, then compared with itself.
  const auto averaged = [&](const std::vector<UserFigures>& of, std::vector<double> UserFigures::*part) {
    std::vector<double> mean((of.front().*part).size(), 0.0);
    for (const UserFigures& one : of)
      for (std::size_t user = 0; user < mean.size(); ++user)
        mean[user] += (one.*part).at(user) / static_cast<double>(of.size());
    return mean;
  };
  const auto mean_metrics = [&](const std::vector<UserFigures>& of) {
    json mean = of.front().metrics;
    for (auto& [split, metrics] : mean.items())
      for (auto& [name, value] : metrics.items()) {
        if (value.is_null()) continue;
        double sum = 0;
        for (const UserFigures& one : of) sum += one.metrics.at(split).at(name).get<double>();
        value = sum / static_cast<double>(of.size());
      }
    return mean;
  };
  const auto& full = figures.at("full");
  json table = json::array();
  for (const Ablation& ablation : order) {
    const auto& own = figures.at(ablation.name);
    json line = {{"name", ablation.name}, {"meaning", ablation.meaning}, {"metrics", mean_metrics(own)}};
    const auto compare = [&](std::vector<double> UserFigures::*part, json& into) {
      if ((full.front().*part).empty()) return;
      const Comparison against = compare_means(averaged(full, part), averaged(own, part), {});
      into["difference"] = against.difference.value;
      into["low"] = against.difference.low;
      into["high"] = against.difference.high;
      into["p"] = against.p;
    };
    compare(&UserFigures::validation, line);
    compare(&UserFigures::test, line["test"]);
    table.push_back(std::move(line));
  }
  json answer = {{"metric", metric}, {"runs", json::array()}, {"ablation", table}};
  for (const fs::path& run : request.runs) answer["runs"].push_back(run.string());
  if (ranks.rank() == 0) {
    write_atomically(request.runs.front() / "ablation.json", answer.dump(2) + "\n");
    if (fs::exists(request.runs.front() / "report.html")) write_page_again(request.runs.front(), {{"ablation", table}});
  }
  ranks.barrier(Tag{"ablations"});
  return answer;
}

}  // namespace swallowtail
