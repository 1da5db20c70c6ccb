// evaluate(): metrics of a run's checkpoint, on its own splits or on other files.
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "trainer/checkpoint/named_step.h"
#include "trainer/files/durable_file.h"
#include "trainer/training/device_run.h"
#include "trainer/training/opened_run.h"
#include "trainer/training/run_files.h"
#include "trainer/training/run_state.h"
#include "trainer/training/scorer.h"
#include "trainer/training/session.h"
#include "trainer/training/training.h"

namespace swallowtail {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

void write_predictions(const fs::path& path, const std::vector<std::pair<std::string, Scores>>& splits) {
  std::ostringstream text;
  text << "split\tsample\tlabel\tprobability\n";
  for (const auto& [split, scores] : splits)
    for (std::size_t i = 0; i < scores.probabilities.size(); ++i)
      text << fmt::format("{}\t{}\t{}\t{:.9g}\n", split, i, scores.labels[i], scores.probabilities[i]);
  write_atomically(path, text.str());
}

/// A folder beside the run's prepared data, linked to it, in which other files may be encoded without touching the run.
class SideFolder {
 public:
  SideFolder(const fs::path& run_dir, Communicator& ranks) : path_(run_dir / "evaluate.partial"), ranks_(ranks) {
    if (ranks_.rank() == 0) {
      fs::remove_all(path_);
      fs::create_directories(path_);
      fs::copy(run_dir / "prepared", path_ / "prepared",
               fs::copy_options::recursive | fs::copy_options::create_hard_links);
    }
    ranks_.barrier(Tag{"side folder", 0});
  }
  ~SideFolder() {
    std::error_code ignored;
    if (ranks_.rank() == 0) fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  Communicator& ranks_;
};

const Dataset& part_of(const Session& session, const std::string& split, const fs::path& run_dir) {
  const Dataset* dataset = split == "train"        ? session.data.train.get()
                           : split == "validation" ? session.data.validation.get()
                           : split == "test"       ? session.data.test.get()
                                                   : nullptr;
  if (!dataset)
    throw Error{ExitCode::usage, fmt::format("the run has no {} data", split), run_dir.string(),
                "name train, validation or test, or give --data FILE"};
  return *dataset;
}

fs::path experiment_file(const fs::path& run_dir) {
  fs::path file = run_dir / "experiment.yaml";
  if (!fs::exists(file))
    throw Error{ExitCode::usage, "there is no run here", run_dir.string(),
                "name the run's directory, such as runs/quickstart"};
  return file;
}

}  // namespace

RunScores scores_of_run(const fs::path& run_dir, const std::string& checkpoint, const std::string& split,
                        Communicator& ranks) {
  const Experiment experiment = Experiment::load(experiment_file(run_dir));
  Session session(experiment, open_data(experiment, run_dir, ranks, /*reuse_encoding=*/true), ranks);
  const std::int64_t step = named_step(run_dir / "checkpoints", checkpoint);
  restore(Checkpoint::open(run_dir / "checkpoints", step), session.dense, session.embedding);
  Scores scores = score(session, part_of(session, split, run_dir), step, session.averaging);
  return {std::move(scores.probabilities), std::move(scores.labels)};
}

json evaluate(const EvaluateRequest& request, Communicator& ranks) {
  const fs::path file = experiment_file(request.run_dir);
  std::vector<std::string> overrides = request.overrides;
  std::vector<std::string> splits = request.splits;
  std::optional<SideFolder> side;
  if (!request.data.empty()) {
    json list = json::array();
    for (const fs::path& path : request.data) list.push_back(fs::absolute(path).string());
    overrides.push_back("data.test=" + list.dump());
    splits = {"test"};
    side.emplace(request.run_dir, ranks);
  }
  const Experiment experiment = Experiment::load(file, overrides);
  check_metric_names(experiment);
  Data data = open_data(experiment, side ? side->path() : request.run_dir, ranks, /*reuse_encoding=*/true);
  Session session(experiment, std::move(data), ranks, choose_device(experiment, ranks));

  const std::int64_t step = named_step(request.run_dir / "checkpoints", request.checkpoint);
  restore(Checkpoint::open(request.run_dir / "checkpoints", step), session.dense, session.embedding);
  send_to_device(session);
  if (splits.empty()) {
    if (session.data.validation) splits.push_back("validation");
    if (session.data.test) splits.push_back("test");
    if (splits.empty()) splits.push_back("train");
  }
  json metrics = json::object();
  std::vector<std::pair<std::string, Scores>> kept;
  for (const std::string& split : splits) {
    const Dataset& dataset = part_of(session, split, request.run_dir);
    const std::string shown = request.data.empty() ? split : "data";
    Scores scores = score(session, dataset, step, session.averaging);
    metrics[shown] = to_json(evaluate_scores(session, scores, step));
    kept.emplace_back(shown, std::move(scores));
  }
  if (!request.predictions.empty() && ranks.rank() == 0) write_predictions(request.predictions, kept);
  ranks.barrier(Tag{"evaluated", step});
  return {{"run", request.run_dir.string()}, {"checkpoint", fmt::format("step-{}", step)}, {"metrics", metrics}};
}

}  // namespace swallowtail
