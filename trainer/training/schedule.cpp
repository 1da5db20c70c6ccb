#include "trainer/training/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace swallowtail {

RateSchedule::RateSchedule(const Experiment& experiment, std::int64_t total_steps) {
  const std::string kind = experiment.text("train.schedule");
  if (kind == "polynomial") kind_ = Kind::polynomial;
  if (kind == "cosine") kind_ = Kind::cosine;
  if (kind == "step") kind_ = Kind::step;
  warmup_ = experiment.integer("train.warmup_steps");
  start_ = experiment.has("train.decay_start_step") ? experiment.integer("train.decay_start_step") : warmup_;
  end_ = experiment.has("train.decay_steps") ? start_ + experiment.integer("train.decay_steps") : total_steps;
  end_ = std::max(end_, start_ + 1);
  step_size_ = experiment.integer("train.step_size");
  gamma_ = experiment.number("train.step_gamma");
  power_ = experiment.number("train.decay_power");
  floor_ = experiment.number("train.final_learning_rate");
}

double RateSchedule::factor(std::int64_t step) const noexcept {
  if (step <= warmup_) return static_cast<double>(step) / static_cast<double>(warmup_);
  if (kind_ == Kind::constant || step <= start_) return 1;
  const double progress = std::min(1.0, static_cast<double>(step - start_) / static_cast<double>(end_ - start_));
  double factor = 1;
  switch (kind_) {
    case Kind::constant:
      break;
    case Kind::polynomial:
      factor = std::pow(1 - progress, power_);
      break;
    case Kind::cosine:
      factor = (1 + std::cos(std::numbers::pi * progress)) / 2;
      break;
    case Kind::step:
      factor = std::pow(gamma_, static_cast<double>((step - start_) / step_size_));
      break;
  }
  return std::max(factor, floor_);
}

}  // namespace swallowtail
