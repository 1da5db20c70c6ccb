// The loop of a ranking run: one pass for models that are fitted, else steps, validations, checkpoints and early
// stopping.
#pragma once

#include <filesystem>
#include <optional>

#include "trainer/checkpoint/writer.h"
#include "trainer/training/phase_clock.h"
#include "trainer/training/ranking_session.h"
#include "trainer/training/run_ledger.h"
#include "trainer/training/run_report.h"
#include "trainer/training/run_state.h"
#include "trainer/training/schedule.h"
#include "trainer/training/stop_signal.h"

namespace swallowtail {

struct RankingFigures {
  double train_seconds = 0, samples_per_s = 0, last_loss = 0, epoch_loss = 0;
  std::int64_t failed_saves = 0;
};

class RankingLoop {
 public:
  RankingLoop(RankingSession& session, RunReport& report, PhaseClock& clock, RunLedger& ledger,
              std::filesystem::path run_dir);
  /// Goes on from `state` to the end. Errors: as Ranker::train_step; stopped where a signal asked for it.
  void run(RunState& state);
  const RankingFigures& figures() const noexcept { return figures_; }

 private:
  RankerStep samples_of(std::int64_t step, std::int64_t epoch, std::int64_t batch) const;
  bool step(RunState& state);      // false: training ends early
  bool validate(RunState& state);  // the same
  void save(RunState& state);
  bool finish_save();  // waits for the save under way; false where it failed
  bool take(const std::optional<SaveResult>& result);
  bool stopped_early(const RunState& state) const;
  bool every(std::int64_t steps, const RunState& state) const;
  bool stop_requested(std::int64_t step);

  RankingSession& session_;
  RunReport& report_;
  PhaseClock& clock_;
  RunLedger& ledger_;
  std::filesystem::path checkpoints_;
  StopSignal stop_;
  RankingFigures figures_;
  std::int64_t samples_, batch_, batches_, epochs_, total_steps_, log_every_;
  RateSchedule schedule_;
  bool saves_;
  std::optional<CheckpointWriter> writer_;
  int failed_in_a_row_ = 0;
  std::int64_t saved_step_ = -1, samples_here_ = 0;
};

/// The metric that picks the best checkpoint and stops early: more of it is better.
/// Errors: usage where it is not computed or is none to steer by.
std::string steering_metric(const RankingSession& session);

std::string metrics_text(const RankingValues& values);

}  // namespace swallowtail
