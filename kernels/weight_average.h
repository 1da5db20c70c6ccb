// Exponential moving average of weights: average_t = d_t * average_{t-1} + (1 - d_t) * w_t, with the warm-up
// d_t = min(decay, (1 + t) / (10 + t)), t = 1, 2, …, so that early averages do not remember the initial weights.
// Rows of a table that no batch touches keep their weights, so their average needs no visit: after k untouched steps
// average = w + (d_{t+1} * … * d_{t+k}) * (average - w). `Averaging` gives that product for any span of steps.
#pragma once

#include <cstdint>
#include <vector>

namespace swallowtail {

class Averaging {
 public:
  explicit Averaging(double decay);
  double decay(std::int64_t step) const noexcept;  // d_step
  /// d_{from+1} * … * d_to; 1 where to <= from.
  double product(std::int64_t from, std::int64_t to) const noexcept;

 private:
  double decay_;
  std::vector<double> log_prefix_;  // sum of log d_t over the warm-up, [0 … warm-up end]
};

}  // namespace swallowtail
