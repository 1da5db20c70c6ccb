// The part of a factor step that looks at rows: scores, loss, and what it asks of the users.
#pragma once

#include <cstdint>

#include "kernels/factors.h"
#include "kernels/sampled_softmax.h"

namespace swallowtail::cpu {

enum class FactorLoss : std::uint8_t { bpr, bpr_hardest, sampled_softmax };

/// The step of the samples that scratch.alone names. Of each table the least row whose gradient is not finite, or -1.
struct AloneStep {
  const OptimizerStep& step;
  std::int64_t bad_user = -1, bad_item = -1, bad_bias = -1;
};

struct ScoreTask {
  const FactorTables& tables;
  const TripletBatch& batch;
  const SamplingLogQ& log_q;
  FactorLoss loss;
  FactorScratch& scratch;  // coefficients and losses are written, and the user_gradients of the samples not stepped
  AloneStep* alone;        // or null: no sample is stepped
};

struct FactorFamily {
  void (*score)(const ScoreTask& task);
  bool steps_alone;  // heeds ScoreTask::alone
};

const FactorFamily& factor_scalar();
const FactorFamily& factor_avx2();
const FactorFamily& factor_avx512();

}  // namespace swallowtail::cpu
