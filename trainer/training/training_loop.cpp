#include "trainer/training/training_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>

#include "trainer/data/sample_order.h"
#include "trainer/training/device_run.h"
#include "trainer/training/step.h"
#include "trainer/training/table_pieces.h"

namespace swallowtail {

namespace {

constexpr std::int64_t kUnsteadySteps = 10;  // first steps: page faults, thread pools, caches
constexpr int kFailedSavesInARow = 3;

ShuffleOptions shuffle_options(const Experiment& experiment) {
  const std::string kind = experiment.text("data.shuffle");
  return {kind == "none"     ? Shuffle::none
          : kind == "blocks" ? Shuffle::blocks
                             : Shuffle::global,
          experiment.integer("data.shuffle_block"), experiment.integer("data.shuffle_buffer")};
}

std::int64_t steps_of(const Experiment& experiment, std::int64_t batches) {
  const std::int64_t steps = batches * experiment.integer("train.epochs");
  return experiment.has("train.max_steps") ? std::min(steps, experiment.integer("train.max_steps")) : steps;
}

/// The metric that picks the best checkpoint and stops early.
std::string chosen_metric(const Experiment& experiment) {
  if (experiment.has("train.early_stopping.metric")) return experiment.text("train.early_stopping.metric");
  return experiment.texts("evaluation.metrics").at(0);
}

std::string metrics_text(const MetricValues& values) {
  std::string text;
  for (const auto& [name, value] : values)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, value ? fmt::format("{:.5f}", *value) : "undefined");
  return text;
}

}  // namespace

TrainingLoop::TrainingLoop(Session& session, RunReport& report, PhaseClock& clock, RunLedger& ledger,
                           std::filesystem::path run_dir)
    : session_(session),
      report_(report),
      clock_(clock),
      ledger_(ledger),
      checkpoints_(std::move(run_dir) / "checkpoints"),
      batch_samples_(session.experiment.integer("train.batch_size")),
      batches_((session.data.train->size() + batch_samples_ - 1) / batch_samples_),
      epochs_(session.experiment.integer("train.epochs")),
      total_steps_(steps_of(session.experiment, batches_)),
      log_every_(session.experiment.integer("report.log_every_steps")),
      schedule_(session.experiment, total_steps_),
      saves_(session.experiment.boolean("checkpoint.enabled")),
      is_incremental_(session.experiment.boolean("checkpoint.incremental")) {
  if (saves_) writer_.emplace(checkpoints_, session.ranks, writer_options(session.experiment, checkpoints_, ledger_));
  if (log_every_ == 0) log_every_ = std::max<std::int64_t>(1, total_steps_ / 1000);
}

bool TrainingLoop::every(std::int64_t steps, const RunState& state, bool epoch_end) const {
  return steps == 0 ? epoch_end : state.step % steps == 0;
}

void TrainingLoop::run(RunState& state) {
  bool goes_on = state.step < total_steps_ && !stopped_early(state);
  if (goes_on && state.step > 0 && state.validated_step != state.step &&
      every(session_.experiment.integer("evaluation.every_steps"), state, state.batch == 0))
    goes_on = validate(state);  // it was due when the run was told to stop
  while (goes_on) goes_on = run_epoch(state) && state.step < total_steps_;
  if (state.validated_step != state.step) validate(state);
  if (saves_) save(state);
  finish_save();
  if (steady_seconds_ > 0) figures_.steady_samples_per_s = static_cast<double>(steady_samples_) / steady_seconds_;
}

bool TrainingLoop::run_epoch(RunState& state) {
  const SampleOrder order(session_.data.train->size(), shuffle_options(session_.experiment), session_.seed,
                          state.epoch);
  BatchLoader loader(
      *session_.data.train, order, batch_samples_,
      [this](std::int64_t batch) { return session_.share.rank_samples(batch, session_.ranks.rank()); }, state.batch);
  Batch batch, next;
  const auto samples_of = [&](std::int64_t in_epoch) {
    return std::min(batch_samples_, session_.data.train->size() - in_epoch * batch_samples_);
  };
  if (state.batch == 0) state.epoch_loss = 0;
  for (bool has_batch = false; state.step < total_steps_;) {
    const auto start = std::chrono::steady_clock::now();
    clock_.begin_step(state.step + 1);
    const bool has_next = state.step + 1 < total_steps_ && state.batch + 1 < batches_;
    {
      const auto timed = clock_.time(StepPhase::data);
      if (!has_batch && !loader.next(batch)) break;
      if (has_next) loader.next(next);
    }
    const std::int64_t global = samples_of(state.batch);
    const double factor = schedule_.factor(state.step + 1);
    StepInput input{batch, global, state.step + 1, factor, stop_.requested()};
    if (has_next) input.next.emplace(NextBatch{next, samples_of(state.batch + 1)});
    const double exposed = session_.embedding.exposed_seconds();
    const std::int64_t sent = session_.embedding.bytes_sent();
    const StepOutcome outcome = train_step(session_, input, clock_);
    std::swap(batch, next);
    has_batch = has_next;
    ++state.step;
    ++state.batch;
    state.samples += global;
    if (state.batch == batches_) {
      state.batch = 0;
      ++state.epoch;
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    figures_.train_seconds += seconds;
    ++figures_.steps_here;
    figures_.bytes_sent += session_.embedding.bytes_sent() - sent;
    figures_.exchange_seconds += session_.embedding.exposed_seconds() - exposed;
    if (figures_.steps_here > kUnsteadySteps || figures_.steps_here > total_steps_ / 2) {
      steady_seconds_ += seconds;
      steady_samples_ += global;
    }
    if (!outcome.note.empty()) report_.note(outcome.note);
    if (outcome.skipped) {
      ++figures_.skipped_steps;
      report_.note(fmt::format("step {} was skipped: loss or gradient is not finite", state.step));
    } else {
      figures_.last_loss = outcome.loss;
      state.epoch_loss += outcome.loss * static_cast<double>(global);
      log_step(state, outcome.loss, factor);
    }
    const bool epoch_end = state.batch == 0;
    if (epoch_end) figures_.epoch_loss = state.epoch_loss / static_cast<double>(session_.data.train->size());
    if (outcome.stop_requested) {
      session_.embedding.drop_next_input();
      if (saves_) save(state);
      if (!finish_save())
        throw Error{ExitCode::resources,
                    fmt::format("stopped on request after step {}, and that step could not be saved", state.step),
                    checkpoints_.string(), "make room, and go on with --resume from an older checkpoint"};
      throw Error{ExitCode::stopped,
                  saves_ ? fmt::format("stopped on request after step {}; a checkpoint is saved", state.step)
                         : fmt::format("stopped on request after step {}; checkpoints are off", state.step),
                  {},
                  "go on with --resume"};
    }
    bool goes_on = true;
    if (every(session_.experiment.integer("evaluation.every_steps"), state, epoch_end)) goes_on = validate(state);
    if (saves_ && every(session_.experiment.integer("checkpoint.every_steps"), state, epoch_end)) save(state);
    if (!goes_on) {
      session_.embedding.drop_next_input();
      return false;
    }
    if (epoch_end) break;
  }
  return true;
}

bool TrainingLoop::stopped_early(const RunState& state) const {
  return session_.experiment.has("train.early_stopping.metric") &&
         state.worse_in_a_row >= session_.experiment.integer("train.early_stopping.patience");
}

void TrainingLoop::log_step(const RunState& state, double loss, double rate_factor) {
  const double epochs_done = static_cast<double>(state.samples) / static_cast<double>(session_.data.train->size());
  report_.step({.step = state.step,
                .total_steps = total_steps_,
                .epoch = state.batch == 0 ? state.epoch - 1 : state.epoch,
                .epochs = epochs_,
                .samples = state.samples,
                .epoch_progress = epochs_done,
                .loss = loss,
                .learning_rate = session_.dense.learning_rate() * rate_factor,
                .samples_per_s = steady_seconds_ > 0 ? static_cast<double>(steady_samples_) / steady_seconds_ : 0,
                .log = state.step % log_every_ == 0 || state.step == 1 || state.step == total_steps_});
}

bool TrainingLoop::validate(RunState& state) {
  state.validated_step = state.step;
  if (!session_.data.validation) return true;
  MetricValues values;
  {
    const auto timed = clock_.time(StepPhase::evaluation);
    for (const bool averaged : session_.averaging ? std::vector{false, true} : std::vector{false}) {
      values = evaluate_scores(session_, score(session_, *session_.data.validation, state.step, averaged), state.step);
      report_.evaluation(state.step, state.epoch, "validation", averaged ? "average" : "raw", values);
      ledger_.evaluation(state.step, "validation", averaged ? "average" : "raw", values);
    }
  }
  report_.note(fmt::format("validation after step {}: {}", state.step, metrics_text(values)));

  const std::string name = chosen_metric(session_.experiment);
  const auto found = std::ranges::find(values, name, &MetricValues::value_type::first);
  MetricValue value;
  if (found != values.end()) value = found->second;
  const double sign = find_metric(name).larger_is_better ? 1 : -1;
  const double margin = session_.experiment.number("train.early_stopping.min_delta");
  if (value && (!state.best_metric || sign * (*value - *state.best_metric) > margin)) {
    state.best_metric = *value;
    state.best_step = state.step;
    state.worse_in_a_row = 0;
    if (saves_) save(state);
    return true;
  }
  ++state.worse_in_a_row;
  if (!stopped_early(state)) return true;
  report_.note(
      fmt::format("early stopping after step {}: {} was best after step {}", state.step, name, state.best_step));
  return false;
}

void TrainingLoop::save(RunState& state) {
  if (saved_step_ == state.step) return;
  const auto timed = clock_.time(StepPhase::checkpoint);
  fetch_from_device(session_);
  saved_step_ = state.step;
  SaveRecord record{state.step, saved_state(session_, state)};
  if (session_.ranks.rank() == 0) record.state["ledger"] = ledger_.head();
  std::vector<TensorRef> tensors;
  ChangedRows changed;
  if (is_incremental_) finish_save();  // of a full one the digest is needed
  const bool is_full = !is_incremental_ || !saves_changes_alone();
  if (is_full) {
    tensors = table_pieces(session_.embedding, session_.ranks.rank());
  } else {
    record.base_step = full_step_;
    record.base_digest = full_digest_;
    changed = changed_table_rows(session_.embedding, session_.ranks.rank());
    tensors = changed.tensors;
  }
  if (session_.ranks.rank() == 0) std::ranges::move(dense_tensors(session_.dense), std::back_inserter(tensors));
  take(writer_->start(record, tensors));
  if (is_incremental_ && is_full) {
    forget_changes(session_.embedding);
    full_step_ = state.step;
    full_digest_.clear();
  }
  if (!session_.experiment.boolean("checkpoint.async")) finish_save();
}

bool TrainingLoop::saves_changes_alone() {
  if (full_digest_.empty()) return false;
  const auto [changed, all] = count_changes(session_.embedding);
  std::vector<std::int64_t> counts{changed, all};
  session_.ranks.all_reduce_sum(Tag{"changed rows", saved_step_}, std::span(counts));
  return 2 * counts[0] < counts[1];
}

bool TrainingLoop::finish_save() { return !writer_ || take(writer_->join()); }

bool TrainingLoop::take(const std::optional<SaveResult>& result) {
  if (!result) return true;
  if (!result->error) {
    failed_in_a_row_ = 0;
    if (result->step == full_step_) full_digest_ = result->digest;
    return true;
  }
  // Every rank gets this error alike. Older checkpoints are as they were, so training may go on for a while.
  if (saved_step_ == result->step) saved_step_ = -1;
  ++figures_.failed_saves;
  report_.note(result->error->message());
  if (++failed_in_a_row_ >= kFailedSavesInARow)
    throw Error{ExitCode::resources,
                fmt::format("{} saves in a row failed; {}", failed_in_a_row_, result->error->fact()),
                result->error->where(), result->error->advice()};
  return false;
}

}  // namespace swallowtail
