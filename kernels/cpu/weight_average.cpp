#include "kernels/weight_average.h"

#include <algorithm>
#include <cmath>

namespace swallowtail {

Averaging::Averaging(double decay) : decay_(decay), log_prefix_{0.0} {
  for (std::int64_t step = 1; (1.0 + step) / (10.0 + step) < decay_; ++step)
    log_prefix_.push_back(log_prefix_.back() + std::log((1.0 + step) / (10.0 + step)));
}

double Averaging::decay(std::int64_t step) const noexcept {
  return std::min(decay_, (1.0 + static_cast<double>(step)) / (10.0 + static_cast<double>(step)));
}

double Averaging::product(std::int64_t from, std::int64_t to) const noexcept {
  if (to <= from) return 1.0;
  const auto warm = static_cast<std::int64_t>(log_prefix_.size()) - 1;
  const auto log_until = [&](std::int64_t step) {
    return log_prefix_[static_cast<std::size_t>(std::min(step, warm))] +
           static_cast<double>(std::max<std::int64_t>(step - warm, 0)) * std::log(decay_);
  };
  return std::exp(log_until(to) - log_until(from));
}

}  // namespace swallowtail
