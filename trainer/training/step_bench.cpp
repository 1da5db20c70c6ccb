#include "trainer/training/step_bench.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <numeric>

#include "kernels/stopwatch.h"
#include "trainer/training/memory_bill.h"
#include "trainer/training/run_files.h"
#include "trainer/training/session.h"
#include "trainer/training/step.h"
#include "trainer/training/step_limits.h"
#include "trainer/training/step_record.h"

namespace swallowtail {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kBatches = 8;  // distinct ones, taken in turns
constexpr std::int64_t kWarmUpSteps = 10;
constexpr double kRepeat_s = 0.5;

double agreed(Communicator& ranks, double seconds) {
  auto ns = static_cast<std::int64_t>(seconds * 1e9);
  ranks.all_reduce_max(Tag{"bench", 0}, {&ns, 1});
  return std::max(1e-9, static_cast<double>(ns) * 1e-9);
}

/// Steps over a few batches that lie in memory, in a ring.
class Ring {
 public:
  /// needs_global: global() will be asked for.
  Ring(Session& session, bool needs_global)
      : session_(session), samples_(session.experiment.integer("train.batch_size")) {
    const Dataset& data = *session.data.train;
    const std::int64_t batches = std::clamp<std::int64_t>(data.size() / samples_, 1, kBatches);
    samples_ = std::min(samples_, data.size());
    const auto [begin, end] = session.share.rank_samples(samples_, session.ranks.rank());
    local_samples_ = end - begin;
    for (std::int64_t b = 0; b < batches; ++b) {
      local_.emplace_back();
      read(b * samples_ + begin, end - begin, local_.back());
      if (needs_global && local_samples_ < samples_) {
        global_.emplace_back();
        read(b * samples_, samples_, global_.back());
      }
    }
  }
  /// Whole batches of all ranks.
  const std::vector<Batch>& global() const noexcept { return local_samples_ == samples_ ? local_ : global_; }
  /// In all batches together.
  std::int64_t samples_held() const noexcept {
    return std::ssize(local_) * local_samples_ + std::ssize(global_) * samples_;
  }
  std::int64_t samples() const noexcept { return samples_; }
  std::int64_t local_samples() const noexcept { return local_samples_; }

  /// The loss of one step; `last`: no step follows soon.
  double run(PhaseClock& clock, bool last = false) {
    const auto at = [&](std::int64_t step) -> const Batch& {
      return local_[static_cast<std::size_t>(step % std::ssize(local_))];
    };
    StepInput input{at(step_), samples_, step_ + 1, 1.0};
    if (!last) input.next.emplace(NextBatch{at(step_ + 1), samples_});
    ++step_;
    return train_step(session_, input, clock).loss;
  }

 private:
  void read(std::int64_t first, std::int64_t count, Batch& batch) const {
    std::vector<std::int64_t> samples(static_cast<std::size_t>(count));
    std::iota(samples.begin(), samples.end(), first);
    session_.data.train->read(samples, batch);
  }

  Session& session_;
  std::int64_t samples_, local_samples_ = 0, step_ = 0;
  std::vector<Batch> local_, global_;  // global_: only where local_ is less
};

class Bench {
 public:
  Bench(Session& session, const StepBenchOptions& options)
      : session_(session),
        options_(options),
        ranks_(session.ranks),
        ring_(session, options.limits || !options.record.empty()) {}

  json run() {
    if (!options_.record.empty()) record_steps(options_.record, session_, ring_.global());
    json losses = json::array();
    PhaseClock warm_up;
    for (std::int64_t step = 1; step <= options_.losses; ++step)
      losses.push_back(ring_.run(warm_up, step == options_.losses));
    if (options_.limits) limits_.emplace(session_, ring_.local_samples(), ring_.global());
    double step_s = 1;
    for (std::int64_t step = 1; step <= kWarmUpSteps; ++step) {
      const auto start = Clock::now();
      ring_.run(warm_up, step == kWarmUpSteps);
      step_s = std::min(step_s, std::chrono::duration<double>(Clock::now() - start).count());
    }
    steps_ = options_.steps > 0
                 ? options_.steps
                 : std::clamp<std::int64_t>(static_cast<std::int64_t>(kRepeat_s / agreed(ranks_, step_s)), 3, 5000);
    while (wants_repeat()) repeat();
    return result(losses);
  }

 private:
  bool wants_repeat() {
    if (!options_.wants_repeat) return std::ssize(step_s_) < options_.repeats;
    std::int64_t wants = ranks_.rank() == 0 && options_.wants_repeat();
    ranks_.broadcast(Tag{"bench", 0}, 0, std::as_writable_bytes(std::span(&wants, 1)));
    return wants != 0;
  }

  /// Seconds of the slowest rank, all having started together.
  template <typename Work>
  double together(Work work) {
    ranks_.barrier(Tag{"bench", 0});
    return agreed(ranks_, work());
  }

  void repeat() {
    const double seconds = together([&] {
      const auto start = Clock::now();
      for (std::int64_t step = 1; step <= steps_; ++step) ring_.run(clock_, step == steps_);
      return std::chrono::duration<double>(Clock::now() - start).count();
    });
    step_s_.push_back(seconds / static_cast<double>(steps_));
    if (limits_) measure_limits(seconds);
    // Last: whoever waits for this word has the machine to itself from here on.
    if (ranks_.rank() == 0 && options_.repeated) options_.repeated(rate(step_s_.back()));
  }

  void measure_limits(double seconds) {
    // About as long as the steps took, a third for each limit.
    const auto some = [&](auto once, std::vector<double>& seconds_of) {
      const double first = together(once);
      std::vector<double> all{first};
      const auto more = static_cast<std::int64_t>(seconds / 3 / first);
      for (std::int64_t i = 0; i < std::min<std::int64_t>(more, steps_); ++i) all.push_back(together(once));
      seconds_of.push_back(median(all));
    };
    some([&] { return limits_->gemm_s(); }, gemm_s_);
    some([&] { return limits_->gather_s(); }, gather_s_);
    some([&] { return limits_->modify_s(); }, modify_s_);
  }

  double rate(double step_s) const { return static_cast<double>(ring_.samples()) / step_s; }

  json result(const json& losses) {
    json found = {{"batch", ring_.samples()}, {"steps", steps_}};
    if (!losses.empty()) found["losses"] = losses;
    if (step_s_.empty()) return found;
    json repeats = json::array();
    for (const double seconds : step_s_) repeats.push_back(rate(seconds));
    const auto [least, most] = std::ranges::minmax(step_s_);
    found["samples_per_s"] = rate(median(step_s_));
    found["min"] = rate(most);
    found["max"] = rate(least);
    found["seconds_a_step"] = median(step_s_);
    found["repeats"] = repeats;
    const auto steps = static_cast<double>(steps_ * std::ssize(step_s_));
    for (std::size_t phase = 0; phase < kPhaseNames.size(); ++phase) {
      const double seconds = clock_.seconds(static_cast<StepPhase>(phase)) / steps;
      if (seconds > 0) found["phases"][std::string(kPhaseNames[phase])] = seconds;
    }
    if (limits_) {
      const double gemm = median(gemm_s_), gather = median(gather_s_), modify = median(modify_s_);
      found["limits"] = {{"gemm", rate(gemm)},
                         {"embedding", rate(gather + modify)},
                         {"together", rate(gemm + gather + modify)},
                         {"gemm_by", limits_->gemm().chosen()},
                         {"gemm_gflops_a_rank", limits_->gemm().flops() / gemm * 1e-9},
                         {"row_gather_gb_per_s_a_rank", limits_->gathered_bytes() / gather * 1e-9},
                         {"row_update_gb_per_s_a_rank", limits_->modified_bytes() / modify * 1e-9}};
    }
    const std::int64_t dense = std::ssize(session_.data.train->shape().dense);
    json memory = memory_bill(session_.experiment,
                              {.tables = session_.tables,
                               .plan = session_.embedding.plan(),
                               .dense_parameters = session_.dense.size(),
                               .dense_features = dense,
                               .activations = session_.pass->floats_a_sample()},
                              ranks_)
                      .at("ranks")
                      .at(0);
    // The ring stands in the loader's place.
    const std::int64_t held = batch_bytes(session_.tables, dense, ring_.samples_held());
    memory["total"] = memory["total"].get<std::int64_t>() + held - memory["batches"].get<std::int64_t>();
    memory["batches"] = held;
    memory["peak_rss_bytes"] = peak_rss_bytes(ranks_);
    found["memory"] = memory;
    return found;
  }

  Session& session_;
  const StepBenchOptions& options_;
  Communicator& ranks_;
  Ring ring_;
  std::optional<StepLimits> limits_;
  PhaseClock clock_;
  std::int64_t steps_ = 1;
  std::vector<double> step_s_, gemm_s_, gather_s_, modify_s_;  // [repeat]
};

}  // namespace

json bench_steps(const Experiment& experiment, const StepBenchOptions& options, Communicator& ranks) {
  std::int64_t id = ranks.rank() == 0 ? getpid() : 0;
  ranks.all_reduce_max(Tag{"bench", 0}, {&id, 1});
  const fs::path folder = fs::temp_directory_path() / fmt::format("swallowtail-bench-{}", id);
  json found;
  {
    Session session(experiment, open_data(experiment, folder, ranks), ranks);
    found = Bench(session, options).run();
    ranks.barrier(Tag{"bench", 0});
  }
  if (ranks.rank() == 0) fs::remove_all(folder);
  return found;
}

}  // namespace swallowtail
