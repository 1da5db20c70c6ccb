#include "trainer/training/tune.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <new>
#include <vector>

#include "parallel/local_communicator.h"
#include "trainer/checkpoint/gather.h"
#include "trainer/evaluation/metrics.h"
#include "trainer/files/durable_file.h"
#include "trainer/training/cross_validation.h"
#include "trainer/training/ranking_models.h"
#include "trainer/training/ranking_session.h"
#include "trainer/training/run_files.h"
#include "trainer/training/threads.h"
#include "trainer/tuning/trial_log.h"

namespace swallowtail {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

namespace {

/// What is searched for: the name under `validation` of a summary, and the sign that makes more of it better.
struct Goal {
  std::string metric;
  double sign = 1;
};

Goal goal_of(const Experiment& experiment) {
  const char* const key = experiment.has("tune.metric")                   ? "tune.metric"
                          : experiment.has("train.early_stopping.metric") ? "train.early_stopping.metric"
                                                                          : "evaluation.metrics";
  const bool ranks_items = is_ranking(experiment);
  const auto measured = ranks_items ? metrics_of_ranking(experiment) : experiment.texts("evaluation.metrics");
  std::string name = std::string_view(key) == "evaluation.metrics" ? measured.front() : experiment.text(key);
  if (ranks_items && name.find('@') == std::string::npos)
    name += fmt::format("@{}", experiment.integers("evaluation.k").front());
  if (std::ranges::find(measured, name) == measured.end())
    throw experiment.error(key, fmt::format("'{}' is not computed", name), "add it to evaluation.metrics");
  for (const char* about_lists : {"coverage", "diversity", "novelty", "gini"})
    if (name.starts_with(about_lists))
      throw experiment.error(key, fmt::format("'{}' alone says nothing of the user's taste", name), "search by ndcg");
  return {name, ranks_items || find_metric(name).larger_is_better ? 1.0 : -1.0};
}

class Tuning {
 public:
  Tuning(const Experiment& experiment, const TuneRequest& request, Communicator& ranks)
      : experiment_(experiment),
        request_(request),
        ranks_(ranks),
        yaml_(experiment.to_yaml()),
        goal_(goal_of(experiment)),
        search_(search_options(experiment)),
        folder_(run_folder(experiment)),
        log_(folder_ / "trials.jsonl"),
        trains_alone_(experiment.text("tune.parallel") == "trials" && ranks.world_size() > 1),
        start_(std::chrono::steady_clock::now()) {
    check_values();
  }

  json run() {
    const TrainRequest about_folder{.resume = request_.resume, .force = request_.force};
    const auto directory = open_run(folder_, experiment_, about_folder, ranks_);
    read_log();
    while (true) {
      const std::vector<Trial> generation = search_.next(finished_);
      if (generation.empty() || !run_generation(generation)) break;
    }
    return finish();
  }

 private:
  const std::vector<SearchParameter>& space() const { return search_.options().space; }

  Experiment experiment_of(const std::vector<std::string>& overrides, const std::string& name) const {
    return Experiment::parse(yaml_, overrides, name);
  }

  /// Every value of a choice and both ends of a range must make an experiment, before the first trial.
  void check_values() const {
    for (const SearchParameter& parameter : space()) {
      const auto values = parameter.kind == SearchParameter::Kind::choice
                              ? parameter.values
                              : std::vector{parameter.value_at(0), parameter.value_at(1)};
      for (const std::string& value : values) experiment_of({parameter.key + "=" + value}, "tune.parameters");
    }
  }

  /// On every rank: what the search has come to before it was stopped.
  void read_log() {
    ordered_json lines = ordered_json::array();
    if (ranks_.rank() == 0 && request_.resume)
      for (const TrialRecord& record : log_.open(space())) lines.push_back(to_json(record, space()));
    const std::vector<json> by_rank = gather_json(lines, Tag{"trials so far"}, ranks_);
    for (const json& line : by_rank.front())
      known_.push_back(trial_record(line, space(), (folder_ / "trials.jsonl").string()));
  }

  const TrialRecord* record_of(const Trial& trial) const {
    const auto found = std::ranges::find(known_, trial.number, [](const TrialRecord& one) { return one.trial.number; });
    if (found == known_.end()) return nullptr;
    if (found->trial != trial)
      throw Error{ExitCode::usage, fmt::format("trial {} was another one when the search was stopped", trial.number),
                  (folder_ / "trials.jsonl").string(), "restore the experiment, or start again with --force"};
    return &*found;
  }

  /// False: the time is up before all of them were trained.
  bool run_generation(const std::vector<Trial>& generation) {
    std::vector<TrialRecord> mine;
    for (std::size_t t = 0; t < generation.size(); ++t) {
      if (record_of(generation[t]) != nullptr) continue;
      if (trains_alone_ && static_cast<int>(t) % ranks_.world_size() != ranks_.rank()) continue;
      if (is_out_of_time()) break;
      mine.push_back(run_trial(generation[t]));
    }
    if (trains_alone_) {
      ordered_json lines = ordered_json::array();
      for (const TrialRecord& record : mine) lines.push_back(to_json(record, space()));
      mine.clear();
      for (const json& of_rank : gather_json(lines, Tag{"trials of a generation", std::ssize(finished_)}, ranks_))
        for (const json& line : of_rank) mine.push_back(trial_record(line, space(), "a rank"));
    }
    known_.insert(known_.end(), mine.begin(), mine.end());
    for (const Trial& trial : generation) {
      const TrialRecord* const record = record_of(trial);
      if (record == nullptr) {
        out_of_time_ = true;
        continue;
      }
      finished_.push_back({trial, record->value ? std::optional(goal_.sign * *record->value) : std::nullopt});
    }
    return !out_of_time_;
  }

  bool is_out_of_time() const {
    if (!experiment_.has("tune.budget_s")) return false;
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start_;
    std::int64_t is_over = spent.count() > experiment_.number("tune.budget_s") ? 1 : 0;
    if (!trains_alone_) ranks_.all_reduce_max(Tag{"time is up"}, std::span(&is_over, 1));
    return is_over != 0;
  }

  TrialRecord run_trial(const Trial& trial) {
    const auto begin = std::chrono::steady_clock::now();
    TrialRecord record;
    record.trial = trial;
    const auto same = std::ranges::find_if(finished_, [&](const FinishedTrial& one) {
      return one.trial.point == trial.point && one.trial.epochs == trial.epochs;
    });
    if (same != finished_.end()) {
      record = *record_of(same->trial);  // a training is a function of its experiment
      record.trial = trial;
      record.seconds = 0;
    } else {
      train_trial(trial, record);
      record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    }
    if (trains_alone_ || ranks_.rank() == 0) log_.append(record, space());
    tell(record);
    return record;
  }

  void train_trial(const Trial& trial, TrialRecord& record) {
    const fs::path place = folder_ / "trials" / fmt::format("{:04}", trial.number);
    std::vector<std::string> overrides = overrides_of(space(), trial.point);
    for (const char* more :
         {"tune.parameters=[]", "report.html=false", "report.tensorboard=false", "checkpoint.keep=1"})
      overrides.emplace_back(more);
    overrides.push_back("run.dir=" + place.string());
    if (trial.epochs > 0) overrides.push_back(fmt::format("train.epochs={}", trial.epochs));
    if (trains_alone_ && experiment_.integer("train.threads") == 0)
      overrides.push_back(fmt::format("train.threads={}", threads_alone()));
    json summary;
    std::string failure;
    const auto alone = trains_alone_ ? make_single_rank() : nullptr;
    Communicator& together = alone ? *alone : ranks_;
    try {
      const Experiment own = experiment_of(overrides, fmt::format("trial {}", trial.number));
      TrainRequest train{.resume = can_go_on(place, together), .quiet = true, .command = request_.command};
      if (shares_data()) train.prepared = folder_ / "prepared";
      summary = train_experiment(own, train, together);
    } catch (const Error& error) {
      // Of a rank that is gone, or of a wish to stop, a trial is not to blame.
      if (error.code() == ExitCode::rank || error.code() == ExitCode::stopped) throw;
      failure = error.message();
    } catch (const std::bad_alloc&) {
      failure = "the memory does not suffice";
    }
    if (failure.empty()) take_value(summary, record);
    if (!failure.empty()) fail_together(trial, failure, record);
    if (trains_alone_ || ranks_.rank() == 0) clear(place);
    if (!trains_alone_) ranks_.barrier(Tag{"trial ended", trial.number});
  }

  void take_value(const json& summary, TrialRecord& record) const {
    for (const char* split : {"validation", "test", "standard_error"})
      if (summary.contains(split)) record.metrics[split] = summary.at(split);
    if (!summary.contains("validation"))
      throw Error{ExitCode::usage,
                  "the experiment has no validation part to search by",
                  {},
                  "set data.validation, data.split.validation or evaluation.folds"};
    const json& value = summary.at("validation").at(goal_.metric);
    if (value.is_null())
      record.error = fmt::format("{} is undefined", goal_.metric);
    else
      record.value = value.get<double>();
  }

  /// Most errors come to every rank alike. Where this rank alone has one, the others wait in another call: the record
  /// is written all the same, so that a search that goes on leaves this trial out.
  void fail_together(const Trial& trial, const std::string& failure, TrialRecord& record) {
    record.value.reset();
    record.error = failure;
    if (trains_alone_) return;
    try {
      std::int64_t one = 1;
      ranks_.all_reduce_max(Tag{"trial failed", trial.number}, std::span(&one, 1));
    } catch (const Error&) {
      log_.append(record, space());
      throw;
    }
  }

  /// Trials of one data section share what has been made of the files.
  bool shares_data() const {
    return experiment_.integer("evaluation.folds") == 0 && std::ranges::none_of(space(), [](const SearchParameter& p) {
             return p.key.starts_with("data.") || p.key == "seed" || p.key.starts_with("evaluation.");
           });
  }

  int threads_alone() {
    if (threads_alone_ == 0) threads_alone_ = std::max(1, cores_of_machine_ / std::max(1, ranks_.node_local_ranks()));
    return threads_alone_;
  }

  /// What a trial leaves behind is its figures; the data serve the trials to come.
  void clear(const fs::path& place) const {
    std::error_code ignored;
    if (shares_data() && ranks_.rank() == 0 && !fs::exists(folder_ / "prepared") && fs::exists(place / "summary.json"))
      fs::rename(place / "prepared", folder_ / "prepared", ignored);
    std::vector<fs::path> runs{place};
    if (fs::exists(place / "folds", ignored))
      for (const auto& fold : fs::directory_iterator(place / "folds", ignored)) runs.push_back(fold.path());
    for (const fs::path& run : runs) {
      fs::remove_all(run / "checkpoints", ignored);
      fs::remove_all(run / "prepared", ignored);
    }
  }

  void tell(const TrialRecord& record) {
    if (request_.quiet || ranks_.rank() != 0) return;
    const std::string outcome =
        record.value ? fmt::format("{} {:.5g}", goal_.metric, *record.value) : fmt::format("failed: {}", record.error);
    fmt::print(stderr, "swallowtail: trial {} in {:.1f} s: {}: {}{}\n", record.trial.number, record.seconds, outcome,
               fmt::join(overrides_of(space(), record.trial.point), " "),
               record.trial.epochs > 0 ? fmt::format(" train.epochs={}", record.trial.epochs) : "");
  }

  json finish() {
    ordered_json results = ordered_json::array();
    std::int64_t failed = 0;
    for (const FinishedTrial& one : finished_) {
      results.push_back(to_json(*record_of(one.trial), space()));
      failed += one.merit ? 0 : 1;
    }
    const FinishedTrial* const best = Search::best(finished_);
    if (best == nullptr && !finished_.empty())
      throw Error{ExitCode::usage,
                  fmt::format("all {} trials failed; the first: {}", failed, record_of(finished_[0].trial)->error),
                  (folder_ / "trials.jsonl").string(), "mend what the trials say"};
    ordered_json summary;
    summary["experiment"] = experiment_.text("name");
    summary["command"] = request_.command;
    summary["world_size"] = ranks_.world_size();
    summary["method"] = experiment_.text("tune.method");
    summary["metric"] = goal_.metric;
    summary["trials"] = finished_.size();
    summary["failed"] = failed;
    summary["best"] = nullptr;
    summary["best_experiment"] = nullptr;
    if (best != nullptr) {
      std::vector<std::string> overrides = overrides_of(space(), best->trial.point);
      for (const char* more : {"tune.parameters=[]", "evaluation.folds=0", "run.dir=null"})
        overrides.emplace_back(more);
      overrides.push_back("name=" + experiment_.text("name") + "-best");
      const std::string yaml = experiment_of(overrides, "best").to_yaml();
      if (ranks_.rank() == 0) write_atomically(folder_ / "best.yaml", yaml);
      const ordered_json line = to_json(*record_of(best->trial), space());
      summary["best"] = {{"trial", best->trial.number},
                         {"value", line.at("value")},
                         {"epochs", line.at("epochs")},
                         {"parameters", line.at("parameters")}};
      summary["best_experiment"] = (folder_ / "best.yaml").string();
    }
    summary["out_of_time"] = out_of_time_;
    summary["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    summary["results"] = results;
    if (ranks_.rank() == 0) write_atomically(folder_ / "summary.json", summary.dump(2) + "\n");
    ranks_.barrier(Tag{"tuned"});
    return summary;
  }

  const Experiment& experiment_;
  const TuneRequest& request_;
  Communicator& ranks_;
  std::string yaml_;
  Goal goal_;
  Search search_;
  fs::path folder_;
  TrialLog log_;
  bool trains_alone_;
  std::chrono::steady_clock::time_point start_;
  int cores_of_machine_ = cores_of_ranks(ranks_), threads_alone_ = 0;
  std::vector<TrialRecord> known_;       // of this search, also from before it was stopped
  std::vector<FinishedTrial> finished_;  // of whole generations, by number
  bool out_of_time_ = false;
};

}  // namespace

json tune(const Experiment& experiment, const TuneRequest& request, Communicator& ranks) {
  return Tuning(experiment, request, ranks).run();
}

}  // namespace swallowtail
