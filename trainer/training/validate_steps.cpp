#include "trainer/training/validate_steps.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "trainer/data/loader.h"
#include "trainer/data/sample_order.h"
#include "trainer/embedding/table_specs.h"
#include "trainer/training/session.h"
#include "trainer/training/step.h"
#include "trainer/training/step_probe.h"

namespace swallowtail {

namespace fs = std::filesystem;

namespace {

constexpr int kWarmUpSteps = 4, kTurns = 4, kMostSteps = 100, kLeastSteps = 6;  // a turn
constexpr double kMeasured_s = 4;

/// Endless batches of the training part, in epochs, and the steps that train them.
class Steps {
 public:
  explicit Steps(Session& session) : session_(session), batch_(session.experiment.integer("train.batch_size")) {
    begin_epoch();
  }

  /// Seconds of one step as the training loop would take it: waiting for its batch included.
  double run(PhaseClock& clock) {
    const auto start = std::chrono::steady_clock::now();
    {
      const auto timed = clock.time(StepPhase::data);
      if (!has_batch_ && !loader_->next(current_)) {
        begin_epoch();
        loader_->next(current_);
      }
      has_next_ = loader_->next(next_);
    }
    StepInput input{current_, samples_of(in_epoch_), ++step_, 1.0};
    if (has_next_) input.next.emplace(NextBatch{next_, samples_of(in_epoch_ + 1)});
    train_step(session_, input, clock);
    std::swap(current_, next_);
    has_batch_ = has_next_;
    ++in_epoch_;
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  void finish() {
    if (has_next_) {
      session_.embedding.drop_next_input();
      ++in_epoch_;  // the loader has given it
    }
    has_next_ = has_batch_ = false;
  }

 private:
  std::int64_t samples_of(std::int64_t batch) const {
    return std::min(batch_, session_.data.train->size() - batch * batch_);
  }
  void begin_epoch() {
    loader_.reset();
    order_.emplace(session_.data.train->size(), ShuffleOptions{}, session_.seed, epoch_++);
    in_epoch_ = 0;
    loader_.emplace(*session_.data.train, *order_, batch_,
                    [this](std::int64_t batch) { return session_.share.rank_samples(batch, session_.ranks.rank()); });
  }

  Session& session_;
  std::int64_t batch_, step_ = 0, epoch_ = 0, in_epoch_ = 0;
  std::optional<SampleOrder> order_;
  std::optional<BatchLoader> loader_;
  Batch current_, next_;
  bool has_batch_ = false, has_next_ = false;
};

double agreed(Communicator& ranks, double seconds) {
  auto ns = static_cast<std::int64_t>(seconds * 1e9);
  ranks.all_reduce_max(Tag{"validate steps", 0}, {&ns, 1});
  return static_cast<double>(ns) * 1e-9;
}

}  // namespace

StepValidation validate_steps(const Experiment& experiment, Communicator& ranks) {
  std::int64_t id = ranks.rank() == 0 ? getpid() : 0;
  ranks.all_reduce_max(Tag{"validate steps", 0}, {&id, 1});
  const fs::path folder = fs::temp_directory_path() / fmt::format("swallowtail-plan-{}", id);
  StepValidation validation{.world_size = ranks.world_size(), .batch = experiment.integer("train.batch_size")};
  {
    Session session(experiment, open_data(experiment, folder, ranks), ranks);
    // Probes and steps by turns, so that both see what others do to the machine meanwhile.
    std::vector<StepConstants> probes{probe_step(session)};
    Steps steps(session);
    PhaseClock warm_up;
    double slowest = 0;
    for (int i = 0; i < kWarmUpSteps; ++i) slowest = agreed(ranks, steps.run(warm_up));
    const int turn = std::clamp(static_cast<int>(kMeasured_s / kTurns / slowest), kLeastSteps, kMostSteps);
    const int count = kTurns * turn;
    std::vector<double> seconds;
    PhaseClock clock;
    for (int i = 0; i < kTurns; ++i) {
      for (int step = 0; step < turn; ++step) seconds.push_back(steps.run(clock));
      steps.finish();
      probes.push_back(probe_step(session));
    }
    const StepConstants constants = median_of(probes);
    std::ranges::sort(seconds);
    const auto at = [&](std::int64_t quarter) {
      return agreed(ranks, seconds[static_cast<std::size_t>(quarter * (count - 1) / 4)]);
    };
    validation.steps = count;
    validation.measured_s = at(1);
    validation.median_s = at(2);
    for (std::size_t phase = 0; phase < kPhaseNames.size(); ++phase)
      validation.measured_phases[std::string(kPhaseNames[phase])] =
          clock.seconds(static_cast<StepPhase>(phase)) / count;
    const auto costs = rank_costs(table_specs(session.tables), session.embedding.plan(), constants.embedding);
    validation.predicted = predict_step(costs, constants);
    ranks.barrier(Tag{"validate steps", 0});
  }
  if (ranks.rank() == 0) fs::remove_all(folder);
  return validation;
}

nlohmann::ordered_json to_json(const StepValidation& validation) {
  nlohmann::ordered_json phases = to_json(validation.predicted.critical);
  phases["waiting"] = validation.predicted.waiting_s;
  phases["hidden"] = -validation.predicted.hidden_s;
  return {{"world_size", validation.world_size},
          {"batch_size", validation.batch},
          {"steps", validation.steps},
          {"measured_step_seconds", validation.measured_s},
          {"measured_median_seconds", validation.median_s},
          {"predicted_step_seconds", validation.predicted.step_s},
          {"error", validation.error()},
          {"predicted_phases", phases},
          {"measured_phases", validation.measured_phases}};
}

std::string step_validation_text(const StepValidation& validation) {
  std::string text = fmt::format(
      "swallowtail: {} ranks on this machine, batch {}: measured {:.3f} ms a step (lower quartile of {}; median "
      "{:.3f}), "
      "predicted {:.3f} ms, error {:+.1f} %\n",
      validation.world_size, validation.batch, validation.measured_s * 1e3, validation.steps, validation.median_s * 1e3,
      validation.predicted.step_s * 1e3, validation.error() * 100);
  const nlohmann::ordered_json json = to_json(validation);
  for (const char* side : {"predicted_phases", "measured_phases"}) {
    text += fmt::format("  {}:", std::string_view(side).substr(0, std::string_view(side).find('_')));
    for (const auto& [name, seconds] : json.at(side).items())
      if (seconds.get<double>() != 0) text += fmt::format(" {} {:.3f},", name, seconds.get<double>() * 1e3);
    text.back() = '\n';
  }
  return text;
}

}  // namespace swallowtail
