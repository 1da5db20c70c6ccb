#include "trainer/training/ranking_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "trainer/checkpoint/writer.h"

namespace swallowtail {
namespace {

constexpr int kFailedSavesInARow = 3;
constexpr std::int64_t kLoggedSteps = 1000;

std::int64_t total_steps_of(const Experiment& experiment, std::int64_t batches) {
  const std::int64_t steps = batches * experiment.integer("train.epochs");
  return experiment.has("train.max_steps") ? std::min(steps, experiment.integer("train.max_steps")) : steps;
}

}  // namespace

std::string metrics_text(const RankingValues& values) {
  std::string text;
  for (const auto& [name, value] : values)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, value ? fmt::format("{:.5f}", *value) : "undefined");
  return text;
}

std::string steering_metric(const RankingSession& session) {
  const Experiment& experiment = session.experiment;
  const bool is_set = experiment.has("train.early_stopping.metric");
  const char* const key = is_set ? "train.early_stopping.metric" : "evaluation.metrics";
  std::string name = is_set ? experiment.text(key) : session.metrics.front();
  if (name.find('@') == std::string::npos) name += fmt::format("@{}", experiment.integers("evaluation.k").front());
  if (std::ranges::find(session.metrics, name) == session.metrics.end())
    throw experiment.error(key, fmt::format("'{}' is not computed", name), "add it to evaluation.metrics");
  for (const char* about_lists : {"coverage", "diversity", "novelty", "gini"})
    if (name.starts_with(about_lists))
      throw experiment.error(key, fmt::format("'{}' alone says nothing of the user's taste", name),
                             is_set ? "steer by ndcg" : "name another metric first, such as ndcg");
  return name;
}

RankingLoop::RankingLoop(RankingSession& session, RunReport& report, PhaseClock& clock, RunLedger& ledger,
                         std::filesystem::path run_dir)
    : session_(session),
      report_(report),
      clock_(clock),
      ledger_(ledger),
      checkpoints_(std::move(run_dir) / "checkpoints"),
      samples_(session.model->epoch_samples()),
      batch_(session.experiment.integer("train.batch_size")),
      batches_((samples_ + batch_ - 1) / batch_),
      epochs_(session.experiment.integer("train.epochs")),
      total_steps_(total_steps_of(session.experiment, batches_)),
      log_every_(session.experiment.integer("report.log_every_steps")),
      schedule_(session.experiment, std::max<std::int64_t>(1, total_steps_)),
      saves_(session.experiment.boolean("checkpoint.enabled")) {
  if (saves_) writer_.emplace(checkpoints_, session.ranks, writer_options(session.experiment, checkpoints_, ledger_));
  if (log_every_ == 0) log_every_ = std::max<std::int64_t>(1, total_steps_ / kLoggedSteps);
}

void RankingLoop::run(RunState& state) {
  if (samples_ == 0) {
    const auto timed = clock_.time(StepPhase::forward_backward);
    if (state.step == 0) session_.model->fit();
    state.step = 1;
    state.samples = session_.data.train.size();
  }
  bool goes_on = state.step < total_steps_ && !stopped_early(state);
  if (goes_on && state.step > 0 && state.validated_step != state.step &&
      every(session_.experiment.integer("evaluation.every_steps"), state))
    goes_on = validate(state);  // it was due when the run was told to stop
  while (goes_on) goes_on = step(state) && state.step < total_steps_;
  if (state.validated_step != state.step) validate(state);
  if (saves_) save(state);
  finish_save();
  if (figures_.train_seconds > 0) figures_.samples_per_s = static_cast<double>(samples_here_) / figures_.train_seconds;
}

bool RankingLoop::stop_requested(std::int64_t step) {
  std::int64_t wish = stop_.requested() ? 1 : 0;
  if (session_.ranks.world_size() > 1) session_.ranks.all_reduce_max(Tag{"wish to stop", step}, std::span(&wish, 1));
  return wish != 0;
}

RankerStep RankingLoop::samples_of(std::int64_t step, std::int64_t epoch, std::int64_t batch) const {
  return {.step = step, .epoch = epoch, .first = batch * batch_, .size = std::min(batch_, samples_ - batch * batch_)};
}

bool RankingLoop::step(RunState& state) {
  const auto start = std::chrono::steady_clock::now();
  clock_.begin_step(state.step + 1);
  if (state.batch == 0) state.epoch_loss = 0;
  RankerStep now = samples_of(state.step + 1, state.epoch, state.batch);
  now.rate_factor = schedule_.factor(now.step);
  now.progress = static_cast<double>(state.step) / static_cast<double>(batches_ * epochs_);
  const bool ends_epoch = state.batch + 1 == batches_;
  const RankerStep next =
      samples_of(now.step + 1, state.epoch + (ends_epoch ? 1 : 0), ends_epoch ? 0 : state.batch + 1);
  if (now.step < total_steps_) now.next = &next;
  {
    const auto timed = clock_.time(StepPhase::forward_backward);
    figures_.last_loss = session_.model->train_step(now);
  }
  const bool stops = stop_requested(now.step);
  ++state.step;
  ++state.batch;
  state.samples += now.size;
  samples_here_ += now.size;
  state.epoch_loss += figures_.last_loss * static_cast<double>(now.size);
  if (state.batch == batches_) {
    state.batch = 0;
    ++state.epoch;
    figures_.epoch_loss = state.epoch_loss / static_cast<double>(samples_);
  }
  figures_.train_seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  report_.step({.step = state.step,
                .total_steps = total_steps_,
                .epoch = now.epoch,
                .epochs = epochs_,
                .samples = state.samples,
                .epoch_progress = static_cast<double>(state.samples) / static_cast<double>(samples_),
                .loss = figures_.last_loss,
                .learning_rate = session_.experiment.number(session_.model->embedding() ? "embedding.learning_rate"
                                                                                        : "train.learning_rate") *
                                 now.rate_factor,
                .samples_per_s = static_cast<double>(samples_here_) / figures_.train_seconds,
                .log = state.step % log_every_ == 0 || state.step == 1 || state.step == total_steps_});
  if (stops) {
    if (saves_) save(state);
    if (!finish_save())
      throw Error{ExitCode::resources,
                  fmt::format("stopped on request after step {}, and that step could not be saved", state.step),
                  checkpoints_.string(), "make room, and go on with --resume from an older checkpoint"};
    throw Error{ExitCode::stopped,
                fmt::format("stopped on request after step {}; {}", state.step,
                            saves_ ? "a checkpoint is saved" : "checkpoints are off"),
                {},
                "go on with --resume"};
  }
  bool goes_on = true;
  if (every(session_.experiment.integer("evaluation.every_steps"), state)) goes_on = validate(state);
  if (saves_ && every(session_.experiment.integer("checkpoint.every_steps"), state)) save(state);
  return goes_on;
}

bool RankingLoop::every(std::int64_t steps, const RunState& state) const {
  return steps == 0 ? state.batch == 0 : state.step % steps == 0;
}

bool RankingLoop::stopped_early(const RunState& state) const {
  return session_.experiment.has("train.early_stopping.metric") &&
         state.worse_in_a_row >= session_.experiment.integer("train.early_stopping.patience");
}

bool RankingLoop::validate(RunState& state) {
  state.validated_step = state.step;
  if (!session_.data.has_validation()) return true;
  RankingValues values;
  {
    const auto timed = clock_.time(StepPhase::evaluation);
    session_.model->prepare_scores();
    values = rank_part(session_, RankedPart::validation).metrics;
  }
  report_.evaluation(state.step, state.epoch, "validation", "raw", values);
  ledger_.evaluation(state.step, "validation", "raw", values);
  report_.note(fmt::format("validation after step {}: {}", state.step, metrics_text(values)));
  const std::string name = steering_metric(session_);
  const MetricValue value = std::ranges::find(values, name, &RankingValues::value_type::first)->second;
  if (value && (!state.best_metric ||
                *value - *state.best_metric > session_.experiment.number("train.early_stopping.min_delta"))) {
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

void RankingLoop::save(RunState& state) {
  if (saved_step_ == state.step) return;
  const auto timed = clock_.time(StepPhase::checkpoint);
  saved_step_ = state.step;
  SaveRecord record{state.step, to_json(state)};
  record.state["data"] = session_.data.fingerprint;
  if (session_.ranks.rank() == 0) record.state["ledger"] = ledger_.head();
  take(writer_->start(record, ranking_tensors(session_)));
  if (!session_.experiment.boolean("checkpoint.async")) finish_save();
}

bool RankingLoop::finish_save() { return !writer_ || take(writer_->join()); }

bool RankingLoop::take(const std::optional<SaveResult>& result) {
  if (!result) return true;
  if (!result->error) {
    failed_in_a_row_ = 0;
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
