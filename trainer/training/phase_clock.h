// Where a run's time goes: seconds a phase, on this rank. Not thread-safe.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

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
  /// Counts the time until it is destroyed into its phase.
  class Scope {
   public:
    explicit Scope(double& seconds) : seconds_(seconds) {}
    ~Scope() { seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    double& seconds_;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  };
  [[nodiscard]] Scope time(StepPhase phase) { return Scope(seconds_[static_cast<std::size_t>(phase)]); }
  double seconds(StepPhase phase) const { return seconds_[static_cast<std::size_t>(phase)]; }

 private:
  std::array<double, static_cast<std::size_t>(StepPhase::count)> seconds_{};
};

}  // namespace swallowtail
