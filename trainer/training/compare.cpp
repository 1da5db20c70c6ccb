#include "trainer/training/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "trainer/checkpoint/gather.h"
#include "trainer/evaluation/bootstrap.h"
#include "trainer/training/opened_run.h"
#include "trainer/training/ranking_models.h"

namespace swallowtail {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

namespace {

/// An experiment and the runs of its seeds.
struct Entry {
  std::string name, experiment;  // experiment: without what may differ among its runs
  std::vector<fs::path> runs;
  std::vector<std::vector<double>> probabilities;                  // click models: a seed each
  std::vector<std::pair<std::string, std::vector<double>>> units;  // metric -> the mean over seeds of every unit
};

/// What the units are; the same of every run.
struct Units {
  bool are_users = true;
  std::string split;
  std::vector<std::string> users;
  std::vector<std::vector<std::int64_t>> relevant;  // of each user
  std::vector<float> labels;                        // of each sample
  std::int64_t count() const { return are_users ? std::ssize(users) : std::ssize(labels); }
};

[[noreturn]] void refuse_other_data(const fs::path& run) {
  throw Error{ExitCode::usage, "the run is of other data than the first one", run.string(),
              "compare runs that were trained and measured on the same parts"};
}

Experiment experiment_of(const fs::path& run, const std::vector<std::string>& overrides = {}) {
  const fs::path file = run / "experiment.yaml";
  if (!fs::exists(file)) throw Error{ExitCode::usage, "there is no run here", run.string(), "name directories of runs"};
  return Experiment::load(file, overrides);
}

std::vector<Entry> entries_of(const std::vector<fs::path>& runs) {
  std::vector<Entry> entries;
  for (const fs::path& run : runs) {
    const std::string same = experiment_of(run, {"seed=0", "name=any", "run.dir=null"}).to_yaml();
    auto entry = std::ranges::find(entries, same, &Entry::experiment);
    if (entry == entries.end()) {
      std::string name = run.lexically_normal().filename().string();
      if (name.empty()) name = run.lexically_normal().parent_path().filename().string();
      if (std::ranges::find(entries, name, &Entry::name) != entries.end()) name = run.string();
      entries.push_back({name, same, {}, {}, {}});
      entry = entries.end() - 1;
    }
    if (std::ranges::find(entry->runs, run) == entry->runs.end()) entry->runs.push_back(run);
  }
  if (entries.size() < 2)
    throw Error{ExitCode::usage, "there is one experiment, and nothing to compare it with", "command line",
                "name runs of two experiments or more; runs that differ in the seed alone count as one"};
  return entries;
}

void add(Entry& entry, const std::string& metric, const std::vector<double>& values) {
  auto found = std::ranges::find(entry.units, metric, &std::pair<std::string, std::vector<double>>::first);
  if (found == entry.units.end()) {
    entry.units.emplace_back(metric, std::vector<double>(values.size(), 0.0));
    found = entry.units.end() - 1;
  }
  for (std::size_t i = 0; i < values.size(); ++i)
    found->second[i] += values[i] / static_cast<double>(entry.runs.size());
}

/// Every metric that is a mean over users, as the run's evaluation.metrics and evaluation.k name them.
void read_ranking_run(const fs::path& run, const CompareRequest& request, Communicator& ranks, Units& units,
                      Entry& entry) {
  const OpenedRun opened = open_ranking_run(run, request.checkpoint, {"evaluation.slices=false"}, ranks);
  const Interactions& data = opened.session->data;
  const bool is_first = units.split.empty();
  if (is_first) units.split = request.split.empty() ? (data.has_test() ? "test" : "validation") : request.split;
  const bool is_test = units.split == "test";
  if (!(is_test ? data.has_test() : units.split == "validation" && data.has_validation()))
    throw Error{ExitCode::usage, fmt::format("the run has no {} data to rank", units.split), run.string(),
                "name validation or test by --split, as far as the runs have them"};
  const RankingResult result = rank_part(*opened.session, is_test ? RankedPart::test : RankedPart::validation);
  std::vector<std::string> users;
  std::vector<std::vector<std::int64_t>> relevant;
  for (const std::int64_t user : result.users) {
    const auto own = (is_test ? data.test : data.validation).of(user);
    auto& items = relevant.emplace_back(own.begin(), own.end());
    std::ranges::sort(items);
    items.erase(std::unique(items.begin(), items.end()), items.end());
    users.push_back(data.users.name(user));
  }
  if (is_first) {
    units.users = users;
    units.relevant = relevant;
  }
  if (users != units.users || relevant != units.relevant) refuse_other_data(run);
  using Of = double UserMetrics::*;
  const std::pair<const char*, Of> known[] = {{"ndcg", &UserMetrics::ndcg},
                                              {"hit_rate", &UserMetrics::hit_rate},
                                              {"precision", &UserMetrics::precision},
                                              {"recall", &UserMetrics::recall},
                                              {"f1", &UserMetrics::f1},
                                              {"map", &UserMetrics::map},
                                              {"mrr", &UserMetrics::mrr}};
  for (const std::string& metric : opened.session->metrics) {
    const auto at = metric.find('@');
    const auto found = std::ranges::find_if(known, [&](const auto& one) { return metric.substr(0, at) == one.first; });
    if (found == std::end(known)) continue;  // of all lists together, such as coverage
    std::vector<double> values;
    for (std::size_t row = 0; row < users.size(); ++row)
      values.push_back(user_metrics(result.lists.of(static_cast<std::int64_t>(row)), relevant[row],
                                    std::stoll(metric.substr(at + 1))).*
                       found->second);
    add(entry, metric, values);
  }
}

void read_click_run(const fs::path& run, const CompareRequest& request, Communicator& ranks, Units& units,
                    Entry& entry) {
  constexpr double kLeast = 1e-15;  // as metrics.h
  units.are_users = false;
  const Experiment experiment = experiment_of(run);
  const bool has_test = experiment.has("data.test") || experiment.number("data.split.test") > 0;
  if (units.split.empty()) units.split = !request.split.empty() ? request.split : has_test ? "test" : "validation";
  RunScores scores = scores_of_run(run, request.checkpoint, units.split, ranks);
  if (units.labels.empty()) units.labels = scores.labels;
  if (scores.labels != units.labels) refuse_other_data(run);
  std::vector<double> losses;
  for (std::size_t i = 0; i < scores.labels.size(); ++i) {
    const double p = std::clamp(scores.probabilities[i], kLeast, 1 - kLeast);
    losses.push_back(scores.labels[i] > 0.5F ? -std::log(p) : -std::log1p(-p));
  }
  add(entry, "logloss", losses);
  entry.probabilities.push_back(std::move(scores.probabilities));
}

ordered_json to_json(const Interval& interval, const char* value) {
  return {{value, interval.value}, {"low", interval.low}, {"high", interval.high}};
}

ordered_json compared(const std::vector<Entry>& entries, const Units& units, const CompareRequest& request) {
  const ResampleOptions options{.resamples = request.resamples};
  std::vector<AucOfSeeds> aucs;
  const bool has_classes = std::ranges::any_of(units.labels, [](float label) { return label > 0.5F; }) &&
                           std::ranges::any_of(units.labels, [](float label) { return label <= 0.5F; });
  if (has_classes)
    for (const Entry& entry : entries) aucs.emplace_back(units.labels, entry.probabilities);
  ordered_json all;
  all["split"] = units.split;
  all["units"] = units.are_users ? "users" : "samples";
  all["count"] = units.count();
  all["resamples"] = options.resamples;
  all["confidence"] = options.confidence;
  for (std::size_t e = 0; e < entries.size(); ++e) {
    ordered_json one{{"name", entries[e].name}, {"runs", ordered_json::array()}, {"metrics", ordered_json::object()}};
    for (const fs::path& run : entries[e].runs) one["runs"].push_back(run.string());
    if (has_classes) one["metrics"]["auc"] = to_json(bootstrap_auc(aucs[e], units.count(), options), "value");
    for (const auto& [metric, values] : entries[e].units)
      one["metrics"][metric] = to_json(bootstrap_mean(values, options), "value");
    all["entries"].push_back(one);
  }
  const auto with_p = [](const Comparison& comparison) {
    ordered_json one = to_json(comparison.difference, "difference");
    one["p"] = comparison.p;
    return one;
  };
  for (std::size_t a = 0; a < entries.size(); ++a)
    for (std::size_t b = a + 1; b < entries.size(); ++b) {
      ordered_json one{{"a", entries[a].name}, {"b", entries[b].name}, {"metrics", ordered_json::object()}};
      if (has_classes) one["metrics"]["auc"] = with_p(compare_auc(aucs[a], aucs[b], units.count(), options));
      for (const auto& [metric, values] : entries[a].units) {
        const auto other =
            std::ranges::find(entries[b].units, metric, &std::pair<std::string, std::vector<double>>::first);
        if (other != entries[b].units.end())
          one["metrics"][metric] = with_p(compare_means(values, other->second, options));
      }
      all["comparisons"].push_back(one);
    }
  return all;
}

}  // namespace

json compare_runs(const CompareRequest& request, Communicator& ranks) {
  std::vector<Entry> entries = entries_of(request.runs);
  const bool are_rankings = is_ranking(experiment_of(request.runs.front()));
  Units units;
  for (Entry& entry : entries)
    for (const fs::path& run : entry.runs) {
      if (is_ranking(experiment_of(run)) != are_rankings) refuse_other_data(run);
      (are_rankings ? read_ranking_run : read_click_run)(run, request, ranks, units, entry);
    }
  // The samples of click models are on rank 0 alone.
  const json mine = ranks.rank() == 0 ? json(compared(entries, units, request)) : json();
  return gather_json(mine, Tag{"comparison"}, ranks).front();
}

}  // namespace swallowtail
