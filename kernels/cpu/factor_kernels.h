// The part of a factor step that looks at rows: scores, loss, and what it asks of the users.
#pragma once

#include <cstdint>

#include "kernels/factors.h"
#include "kernels/sampled_softmax.h"

namespace swallowtail::cpu {

enum class FactorLoss : std::uint8_t { bpr, bpr_hardest, sampled_softmax };

struct ScoreTask {
  const FactorTables& tables;
  const TripletBatch& batch;
  const SamplingLogQ& log_q;
  FactorLoss loss;
  FactorScratch& scratch;  // coefficients, user_gradients and losses are written
};

struct FactorFamily {
  void (*score)(const ScoreTask& task);
};

const FactorFamily& factor_scalar();
const FactorFamily& factor_avx2();
const FactorFamily& factor_avx512();

}  // namespace swallowtail::cpu
