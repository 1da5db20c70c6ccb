// The factor that keeps small gradients from vanishing in fp16: it grows while steps go well and shrinks where one
// overflowed. Powers of two, so that scaling rounds nothing.
#pragma once

#include <cstdint>

#include "kernels/cuda/gemm.h"

namespace swallowtail {

class LossScale {
 public:
  static constexpr double kFirst = 65536, kLargest = 0x1p24;
  static constexpr std::int64_t kGrowEvery = 2000;  // good steps in a row

  /// fp16 is scaled dynamically; the other precisions have fp32's range and need none.
  static LossScale for_precision(cuda::Precision precision) {
    return precision == cuda::Precision::fp16 ? LossScale(kFirst, true) : LossScale(1, false);
  }
  static LossScale fixed(double scale) { return {scale, false}; }

  double value() const noexcept { return value_; }
  bool is_dynamic() const noexcept { return dynamic_; }
  /// Whether a bad step may be the scale's fault, so that it is skipped and tried smaller.
  bool can_shrink() const noexcept { return dynamic_ && value_ > 1; }
  /// After a step; true where the scale has changed.
  bool update(bool good) noexcept {
    if (!dynamic_) return false;
    const double before = value_;
    if (!good) {
      good_steps_ = 0;
      if (value_ > 1) value_ /= 2;
    } else if (++good_steps_ >= kGrowEvery) {
      good_steps_ = 0;
      if (value_ < kLargest) value_ *= 2;
    }
    return value_ != before;
  }

 private:
  LossScale(double value, bool dynamic) : value_(value), dynamic_(dynamic) {}
  double value_;
  bool dynamic_;
  std::int64_t good_steps_ = 0;
};

}  // namespace swallowtail
