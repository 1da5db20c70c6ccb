// The loop over epochs and batches of one run: steps, validations, checkpoints, early stopping, a wish to stop.
#pragma once

#include <filesystem>
#include <optional>

#include "trainer/checkpoint/writer.h"
#include "trainer/data/loader.h"
#include "trainer/training/phase_clock.h"
#include "trainer/training/run_ledger.h"
#include "trainer/training/run_report.h"
#include "trainer/training/run_state.h"
#include "trainer/training/schedule.h"
#include "trainer/training/session.h"
#include "trainer/training/stop_signal.h"

namespace swallowtail {

struct LoopFigures {
  double train_seconds = 0;              // steps alone, evaluation and checkpoints excluded
  double steady_samples_per_s = 0;       // without the first steps
  double last_loss = 0, epoch_loss = 0;  // of the last step; mean of the last epoch
  std::int64_t skipped_steps = 0, failed_saves = 0, bytes_sent = 0, steps_here = 0;
  double exchange_seconds = 0;
};

class TrainingLoop {
 public:
  TrainingLoop(Session& session, RunReport& report, PhaseClock& clock, RunLedger& ledger,
               std::filesystem::path run_dir);

  /// Goes on from `state` to the end. Errors: as train_step; stopped where a signal asked for it and the checkpoint is
  /// saved.
  void run(RunState& state);
  const LoopFigures& figures() const noexcept { return figures_; }
  std::int64_t total_steps() const noexcept { return total_steps_; }

 private:
  bool run_epoch(RunState& state);  // false: training ends early
  void log_step(const RunState& state, double loss, double rate_factor);
  /// Validates; returns false where early stopping says so.
  bool validate(RunState& state);
  void save(RunState& state);
  /// Joins the save under way. False where it failed; training may go on for a while. Errors: resources at the third
  /// failure in a row.
  bool finish_save();
  /// True where so few rows changed since the last full checkpoint that only they are saved. Collective.
  bool saves_changes_alone();
  bool take(const std::optional<SaveResult>& result);
  bool stopped_early(const RunState& state) const;
  bool every(std::int64_t steps, const RunState& state, bool epoch_end) const;

  Session& session_;
  RunReport& report_;
  PhaseClock& clock_;
  RunLedger& ledger_;
  std::filesystem::path checkpoints_;
  StopSignal stop_;
  LoopFigures figures_;
  std::int64_t batch_samples_, batches_, epochs_, total_steps_, log_every_;
  RateSchedule schedule_;
  bool saves_;
  std::optional<CheckpointWriter> writer_;
  bool is_incremental_;
  std::int64_t full_step_ = -1;  // the last full checkpoint of this process, -1: none that is good
  std::string full_digest_;
  int failed_in_a_row_ = 0;
  std::int64_t saved_step_ = -1;
  std::int64_t steady_samples_ = 0;
  double steady_seconds_ = 0;
};

}  // namespace swallowtail
