#include "trainer/training/cross_validation.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <numeric>
#include <optional>
#include <vector>

#include "trainer/checkpoint/gather.h"
#include "trainer/files/durable_file.h"
#include "trainer/training/ranking.h"
#include "trainer/training/run_files.h"

namespace swallowtail {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

namespace {

json train_once(const Experiment& experiment, const TrainRequest& request, Communicator& ranks) {
  return is_ranking(experiment) ? train_ranking(experiment, request, ranks) : train(experiment, request, ranks);
}

Experiment experiment_of_fold(const Experiment& experiment, const fs::path& folder, std::int64_t fold) {
  return Experiment::parse(experiment.to_yaml(),
                           {fmt::format("evaluation.fold={}", fold), fmt::format("run.dir={}", folder.string())},
                           fmt::format("fold {}", fold));
}

/// The summary of a fold that has ended, on every rank; null where it has not.
json finished_fold(const fs::path& folder, Communicator& ranks) {
  json found;
  if (ranks.rank() == 0 && fs::exists(folder / "summary.json"))
    found = json::parse(std::ifstream(folder / "summary.json"), nullptr, false);
  return gather_json(found.is_discarded() ? json() : found, Tag{"fold's summary"}, ranks).front();
}

/// Means and their standard errors over the folds; null where a fold has no value.
void add_metrics(const std::vector<json>& folds, ordered_json& summary) {
  for (const std::string split : {"validation", "test"}) {
    if (!folds.front().contains(split)) continue;
    for (const auto& [metric, unused] : folds.front().at(split).items()) {
      ordered_json values = ordered_json::array();
      std::vector<double> numbers;
      for (const json& fold : folds) {
        values.push_back(ordered_json(fold.at(split).at(metric)));
        if (values.back().is_number()) numbers.push_back(values.back().get<double>());
      }
      summary["by_fold"][split][metric] = values;
      summary[split][metric] = nullptr;
      summary["standard_error"][split][metric] = nullptr;
      if (numbers.size() != folds.size()) continue;
      const auto count = static_cast<double>(numbers.size());
      const double mean = std::accumulate(numbers.begin(), numbers.end(), 0.0) / count;
      double squares = 0;
      for (const double number : numbers) squares += (number - mean) * (number - mean);
      summary[split][metric] = mean;
      summary["standard_error"][split][metric] = std::sqrt(squares / (count - 1) / count);
    }
  }
}

json cross_validate(const Experiment& experiment, const TrainRequest& request, Communicator& ranks) {
  const auto start = std::chrono::steady_clock::now();
  const std::int64_t count = experiment.integer("evaluation.folds");
  const fs::path folder = run_folder(experiment);
  if (request.dry_run) return train_once(experiment_of_fold(experiment, folder, 0), request, ranks);
  const auto directory = open_run(folder, experiment, request, ranks);
  std::vector<json> folds;
  ordered_json places = ordered_json::array();
  for (std::int64_t fold = 0; fold < count; ++fold) {
    const fs::path place = folder / "folds" / std::to_string(fold);
    places.push_back(fmt::format("folds/{}", fold));
    json summary = request.resume ? finished_fold(place, ranks) : json();
    if (summary.is_null()) {
      TrainRequest own = request;
      own.force = false;
      own.resume = request.resume && can_go_on(place, ranks);
      summary = train_once(experiment_of_fold(experiment, place, fold), own, ranks);
    }
    folds.push_back(std::move(summary));
  }

  ordered_json summary;
  summary["experiment"] = experiment.text("name");
  summary["command"] = request.command;
  summary["world_size"] = ranks.world_size();
  summary["seed"] = experiment.integer("seed");
  summary["folds"] = {{"count", count}, {"by", experiment.text("evaluation.folds_by")}, {"runs", places}};
  for (const char* sum : {"steps", "samples"}) {
    std::int64_t total = 0;
    for (const json& fold : folds) total += fold.at(sum).get<std::int64_t>();
    summary[sum] = total;
  }
  double speed = 0;
  for (const json& fold : folds) speed += fold.at("samples_per_s").get<double>() / static_cast<double>(count);
  summary["samples_per_s"] = speed;
  summary["peak_rss_bytes"] = peak_rss_bytes(ranks);
  add_metrics(folds, summary);
  summary["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (ranks.rank() == 0) write_atomically(folder / "summary.json", summary.dump(2) + "\n");
  return summary;
}

}  // namespace

json train_experiment(const Experiment& experiment, const TrainRequest& request, Communicator& ranks) {
  const std::int64_t folds = experiment.integer("evaluation.folds");
  if (folds == 1)
    throw experiment.error("evaluation.folds", "one fold leaves nothing to train on", "take 2 or more, or 0 for none");
  return folds > 1 && !experiment.has("evaluation.fold") ? cross_validate(experiment, request, ranks)
                                                         : train_once(experiment, request, ranks);
}

}  // namespace swallowtail
