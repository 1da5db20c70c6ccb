// Where a run's time goes: seconds a phase on this rank, and when, where a trace is kept. Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "parallel/activity.h"
#include "trainer/training/trace.h"

namespace swallowtail {

enum class StepPhase : std::uint8_t {
  data,
  input_exchange,
  lookup,
  forward_backward,
  gradient_exchange,
  dense_reduction,
  update,
  evaluation,
  checkpoint,
  count
};
constexpr std::array<std::string_view, static_cast<std::size_t>(StepPhase::count)> kPhaseNames{
    "data",   "input exchange", "lookup and shuffle", "forward and backward", "gradient shuffle", "dense reduction",
    "update", "evaluation",     "checkpoint"};

class PhaseClock {
 public:
  /// `trace` (may be null) gets every phase as an event, its lane being the phase. It outlives the clock.
  explicit PhaseClock(Trace* trace = nullptr) : trace_(trace) {}

  /// Counts the time until it ends into its phase. Can be kept, beside the handle of an exchange that runs.
  class Scope {
   public:
    Scope(PhaseClock& clock, StepPhase phase) : clock_(&clock), phase_(phase) {}
    Scope(Scope&& from) noexcept
        : clock_(std::exchange(from.clock_, nullptr)), phase_(from.phase_), begin_ns_(from.begin_ns_) {}
    Scope& operator=(Scope&&) = delete;
    ~Scope() { end(); }
    void end() {
      if (clock_) std::exchange(clock_, nullptr)->add(phase_, begin_ns_, monotonic_ns());
    }

   private:
    PhaseClock* clock_;
    StepPhase phase_;
    std::int64_t begin_ns_ = monotonic_ns();
  };

  /// What follows belongs to `step`.
  void begin_step(std::int64_t step) noexcept {
    step_ = step;
    if (trace_) trace_->begin_step(step);
  }
  /// A phase that this rank is in from now on: the word that others read of it when they miss it in a call.
  [[nodiscard]] Scope time(StepPhase phase) {
    report_activity(kPhaseNames[static_cast<std::size_t>(phase)], step_);
    return {*this, phase};
  }
  /// A phase that runs beside others.
  [[nodiscard]] Scope time_beside(StepPhase phase) { return {*this, phase}; }

  double seconds(StepPhase phase) const { return seconds_[static_cast<std::size_t>(phase)]; }

 private:
  void add(StepPhase phase, std::int64_t begin_ns, std::int64_t end_ns) {
    seconds_[static_cast<std::size_t>(phase)] += static_cast<double>(end_ns - begin_ns) * 1e-9;
    if (trace_) trace_->add(static_cast<std::int64_t>(phase), begin_ns, end_ns);
  }

  Trace* trace_;
  std::int64_t step_ = 0;
  std::array<double, static_cast<std::size_t>(StepPhase::count)> seconds_{};
};

}  // namespace swallowtail
