// A sum in fp64 whose error does not grow with the number of terms, so that metrics over 10^8 samples keep their
// digits. Source: Neumaier, ZAMM 54 (1974), the improved Kahan sum.
#pragma once

#include <cmath>

namespace swallowtail {

class CompensatedSum {
 public:
  void add(double term) noexcept {
    const double next = sum_ + term;
    lost_ += std::abs(sum_) >= std::abs(term) ? (sum_ - next) + term : (term - next) + sum_;
    sum_ = next;
  }
  double value() const noexcept { return sum_ + lost_; }

 private:
  double sum_ = 0, lost_ = 0;
};

}  // namespace swallowtail
