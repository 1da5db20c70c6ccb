// What a training step cannot be faster than on these ranks: its matrix products alone, and its rows read and written
// alone. Every rank does its part at the same time, as in a step.
#pragma once

#include <cstdint>
#include <vector>

#include "trainer/data/batch.h"
#include "trainer/training/session.h"

namespace swallowtail {

class StepLimits {
 public:
  /// `samples`: of this rank in a step. `batches`: whole global batches, whose ids the embedding limits take in turns.
  StepLimits(Session& session, std::int64_t samples, const std::vector<Batch>& batches);

  /// Seconds of the model's products: forward and both backward of every layer, in the faster of two divisions among
  /// the threads (the library's own, or rows and outputs dealt out), chosen once.
  double gemm_s();
  /// Seconds in which this rank reads the rows of a batch (every place of a row), and reads and writes each distinct
  /// one once, with its threads.
  double gather_s();
  double modify_s();
  /// Bytes of these rows, of the last call.
  double gathered_bytes() const noexcept { return gathered_bytes_; }
  double modified_bytes() const noexcept { return modified_bytes_; }
  std::int64_t layers() const noexcept { return static_cast<std::int64_t>(layers_.size()); }
  /// Floating-point operations of gemm_s() on this rank.
  double gemm_flops() const noexcept { return gemm_flops_; }

 private:
  struct Layer {
    std::int64_t in, out;
    bool passes_on;  // its input has a gradient
    std::vector<float> x, weight, y, weight_gradient, x_gradient;
    bool library_threads[3] = {false, false, false};  // forward, weight gradient, input gradient
  };
  struct Rows {  // of one shard in one batch
    std::size_t shard;
    std::vector<std::int64_t> all, distinct;
  };
  void product(Layer& layer, int which, bool library_threads) const;

  Session& session_;
  std::int64_t samples_;
  std::vector<Layer> layers_;
  std::vector<std::vector<Rows>> rows_;  // [batch]
  std::size_t gathered_ = 0, modified_ = 0;
  double gathered_bytes_ = 0, modified_bytes_ = 0, gemm_flops_ = 0;
  float sink_ = 0;
};

}  // namespace swallowtail
