// Learning-rate schedule: a factor of the base rates, of dense parameters and tables alike, as a pure function of the
// step. Warm-up rises linearly to 1 over warmup_steps; from decay_start_step on:
//   constant    1
//   polynomial  ((end - step) / (end - start))^power, as in the reference DLRM with power 2
//   cosine      (1 + cos(pi * progress)) / 2
//   step        gamma^floor((step - start) / step_size)
// Decays never fall below final_learning_rate (a fraction of the base).
#pragma once

#include <cstdint>

#include "trainer/config/experiment.h"

namespace swallowtail {

class RateSchedule {
 public:
  /// total_steps: optimizer steps of the whole run; the decay ends there unless train.decay_steps says otherwise.
  RateSchedule(const Experiment& experiment, std::int64_t total_steps);
  double factor(std::int64_t step) const noexcept;  // step counts from 1

 private:
  enum class Kind : std::uint8_t { constant, polynomial, cosine, step };
  Kind kind_ = Kind::constant;
  std::int64_t warmup_ = 0, start_ = 0, end_ = 1, step_size_ = 1;
  double power_ = 1, gamma_ = 1, floor_ = 0;
};

}  // namespace swallowtail
