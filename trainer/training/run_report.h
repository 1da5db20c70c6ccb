// What a run writes while and after it trains, by rank 0: metrics.jsonl, TensorBoard events, progress, log.txt,
// summary.json and report.html. The loop tells it what happened; the other ranks hold one that writes nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "trainer/report/progress.h"
#include "trainer/training/phase_clock.h"
#include "trainer/training/scorer.h"

namespace swallowtail {

struct StepRecord {
  std::int64_t step = 0, total_steps = 0, epoch = 0, epochs = 0, samples = 0;
  double epoch_progress = 0;  // epochs done, with fraction
  double loss = 0, learning_rate = 0, samples_per_s = 0;
  bool log = false;  // a line in metrics.jsonl
};

struct ScoredSplit {
  std::string name;  // "test", "test, raw weights", "test, best reachable"
  MetricValues metrics;
  Scores scores;  // empty where only the metrics are known
};

class RunReport {
 public:
  struct Options {
    std::filesystem::path run_dir;
    bool writes = false;  // rank 0
    bool quiet = false;
    bool tensorboard = true;
  };
  explicit RunReport(const Options& options);
  ~RunReport();

  /// Opens metrics.jsonl and the event file. `resumed_from`: the step that the run goes on from; later lines of an
  /// earlier try are dropped.
  void begin(std::optional<std::int64_t> resumed_from);
  void step(const StepRecord& record);
  /// weights: "average" or "raw".
  void evaluation(std::int64_t step, std::int64_t epoch, const std::string& split, const std::string& weights,
                  const MetricValues& values);
  /// A line on the terminal and in log.txt.
  void note(const std::string& text);
  void finish_progress();
  /// `scored`: in the order validation, test; those without scores (best reachable values) only join the table.
  void write_page(const nlohmann::ordered_json& summary, const std::string& experiment_yaml,
                  const std::vector<ScoredSplit>& scored, const PhaseClock& clock);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;  // null where nothing is written
};

/// Writes report.html of a finished run anew, from its files, with what `more` says beside summary.json.
void write_page_again(const std::filesystem::path& run_dir, const nlohmann::json& more);

}  // namespace swallowtail
