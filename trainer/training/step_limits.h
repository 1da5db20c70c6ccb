// What a training step cannot be faster than on these ranks: its matrix products alone, and its rows read and written
// alone. Every rank does its part at the same time, as in a step.
#pragma once

#include <cstdint>
#include <vector>

#include "trainer/data/batch.h"
#include "trainer/training/gemm_limit.h"
#include "trainer/training/session.h"

namespace swallowtail {

class StepLimits {
 public:
  /// `samples`: of this rank in a step. `batches`: whole global batches, whose ids the embedding limits take in turns.
  StepLimits(Session& session, std::int64_t samples, const std::vector<Batch>& batches);

  /// Seconds of the model's products: forward and both backward of every layer, as gemm_limit.h says.
  double gemm_s() { return gemm_.seconds(); }
  /// Seconds in which this rank reads the rows of a batch (every place of a row), and reads and writes each distinct
  /// one once, with its threads.
  double gather_s();
  double modify_s();
  /// Bytes of these rows, of the last call.
  double gathered_bytes() const noexcept { return gathered_bytes_; }
  double modified_bytes() const noexcept { return modified_bytes_; }
  const GemmLimit& gemm() const noexcept { return gemm_; }

 private:
  struct Rows {  // of one shard in one batch
    std::size_t shard;
    std::vector<std::int64_t> all, distinct;
  };

  Session& session_;
  GemmLimit gemm_;
  std::vector<std::vector<Rows>> rows_;  // [batch]
  std::size_t gathered_ = 0, modified_ = 0;
  double gathered_bytes_ = 0, modified_bytes_ = 0;
  float sink_ = 0;
};

}  // namespace swallowtail
