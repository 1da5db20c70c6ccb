// What an optimizer's step is made of, worked out by the host: as a kernel's argument, or in device memory, where a
// recorded graph reads each step's own.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/optimizer.h"

namespace swallowtail::cuda {

struct Rates {
  Optimizer kind = Optimizer::sgd;
  float rate = 0, epsilon = 0, beta1 = 0, beta2 = 0, decay = 0, momentum = 0;
  float keep = 1;                           // adamw's decoupled decay
  float first_scale = 1, second_scale = 1;  // 1 / (1 - beta^t)
  bool is_first = false;
  std::int64_t step = 1;

  Rates() = default;
  explicit Rates(const OptimizerStep& of)
      : kind(of.kind),
        rate(of.learning_rate),
        epsilon(of.epsilon),
        beta1(of.beta1),
        beta2(of.beta2),
        decay(of.kind == Optimizer::adamw ? 0 : of.weight_decay),
        momentum(of.momentum),
        keep(of.kind == Optimizer::adamw ? 1.0F - of.learning_rate * of.weight_decay : 1.0F),
        is_first(of.step == 1),
        step(of.step) {
    if (kind != Optimizer::adam && kind != Optimizer::adamw) return;
    const auto t = static_cast<double>(step);
    first_scale = static_cast<float>(1.0 / (1.0 - std::pow(static_cast<double>(beta1), t)));
    second_scale = static_cast<float>(1.0 / (1.0 - std::pow(static_cast<double>(beta2), t)));
  }
};

}  // namespace swallowtail::cuda
