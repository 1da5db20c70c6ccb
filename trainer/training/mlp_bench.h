// The MLP of a training step by itself: forward, backward and the gradients of weights on this process's threads, as
// DlrmPass drives it, beside the same matrix products alone.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

namespace swallowtail {

class MlpBench {
 public:
  /// An MLP of these widths over `inputs` columns, ReLU between them; its input has a gradient.
  MlpBench(std::int64_t samples, std::int64_t inputs, std::span<const std::int64_t> widths);
  ~MlpBench();
  /// All of it, once.
  void pass();
  /// Its products alone, once; gemm_limit.h.
  void products();
  double flops() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace swallowtail
