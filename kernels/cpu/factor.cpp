// Steps on two tables of factors: bpr.h and sampled_softmax.h say what they mean.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/bpr.h"
#include "kernels/cpu/factor_kernels.h"
#include "kernels/cpu/factor_loss.h"
#include "kernels/cpu/variants.h"
#include "kernels/row_update.h"

namespace swallowtail {

namespace cpu {

namespace {

constexpr std::int64_t kLanes = 16;

/// Sixteen interleaved sums, halved four times: what the wide variants do as well.
float dot(const float* a, const float* b, std::int64_t dim) noexcept {
  float lane[kLanes] = {};
  for (std::int64_t d = 0; d < dim; ++d) lane[d % kLanes] = std::fma(a[d], b[d], lane[d % kLanes]);
  for (std::int64_t half = kLanes / 2; half > 0; half /= 2)
    for (std::int64_t k = 0; k < half; ++k) lane[k] += lane[k + half];
  return lane[0];
}

void score(const ScoreTask& task) {
  const TripletBatch& batch = task.batch;
  const std::int64_t negatives = batch.negatives_each(), dim = task.tables.dim;
#pragma omp parallel for schedule(static) if (batch.size() >= 256)
  for (std::int64_t t = 0; t < batch.size(); ++t) {
    const float* user = task.tables.users + batch.users[t] * dim;
    const auto item = [&](std::int64_t k) {
      return task.tables.items + (k == 0 ? batch.positives[t] : batch.negatives[t * negatives + k - 1]) * dim;
    };
    float* scores = task.scratch.coefficients.data() + t * (1 + negatives);
    for (std::int64_t k = 0; k <= negatives; ++k) scores[k] = dot(user, item(k), dim);
    task.scratch.losses[t] = loss_of(task, t, scores);
    float* gradient = task.scratch.user_gradients.data() + t * dim;
    for (std::int64_t d = 0; d < dim; ++d) gradient[d] = scores[0] * item(0)[d];
    for (std::int64_t k = 1; k <= negatives; ++k)
      for (std::int64_t d = 0; d < dim; ++d) gradient[d] = std::fma(scores[k], item(k)[d], gradient[d]);
  }
}

const FactorFamily& family() { return of_active_isa(factor_scalar, factor_avx2, factor_avx512); }

/// 0, step, 2 * step, … so that the batch is bags of `step` ids.
void even_offsets(std::int64_t bags, std::int64_t step, std::vector<std::int64_t>& offsets) {
  offsets.resize(static_cast<std::size_t>(bags) + 1);
  for (std::int64_t bag = 0; bag <= bags; ++bag) offsets[bag] = bag * step;
}

/// Coefficients, user gradients and losses into the scratch; the sum of the losses.
double score_batch(const FactorTables& tables, const TripletBatch& batch, const SamplingLogQ& log_q, FactorLoss loss,
                   FactorScratch& scratch) {
  const std::int64_t size = batch.size();
  scratch.coefficients.resize(static_cast<std::size_t>(size * (1 + batch.negatives_each())));
  scratch.user_gradients.resize(static_cast<std::size_t>(size * tables.dim));
  scratch.losses.resize(static_cast<std::size_t>(size));
  family().score({tables, batch, log_q, loss, scratch});
  double sum = 0;
  for (const float one : scratch.losses) sum += one;
  return sum;
}

FactorStep factor_step(const OptimizerStep& step, const FactorTables& tables, const TripletBatch& batch,
                       const SamplingLogQ& log_q, FactorLoss loss, FactorScratch& scratch) {
  const std::int64_t size = batch.size(), negatives = batch.negatives_each(), dim = tables.dim;
  FactorStep done;
  done.loss = score_batch(tables, batch, log_q, loss, scratch);
  std::span<const float> decay = batch.weights;  // each place of a row decays it
  if (decay.empty()) {
    scratch.ones.assign(static_cast<std::size_t>(size), 1.0F);
    decay = scratch.ones;
  }
  const auto note = [&](FactorStep::Table table, std::int64_t bad_row) {
    if (bad_row >= 0 && done.bad_row < 0) done.bad_table = table, done.bad_row = bad_row;
  };
  // Items first: their gradients are multiples of the users as they were.
  scratch.items.resize(static_cast<std::size_t>(size * (1 + negatives)));
  scratch.rows.resize(static_cast<std::size_t>(size));
  for (std::int64_t t = 0; t < size; ++t) {
    std::int64_t* items = scratch.items.data() + t * (1 + negatives);
    items[0] = batch.positives[t];
    std::copy_n(batch.negatives.data() + t * negatives, negatives, items + 1);
    scratch.rows[t] = tables.users + batch.users[t] * dim;
  }
  even_offsets(size, 1 + negatives, scratch.item_offsets);
  group_by_row({scratch.items, scratch.item_offsets, scratch.coefficients}, tables.item_rows, Pooling::sum,
               scratch.groups);
  note(FactorStep::Table::items,
       update_rows(step, {tables.items, tables.item_state, dim}, scratch.groups, scratch.rows, decay));
  if (tables.item_bias != nullptr) {
    static constexpr float kOne = 1;
    std::ranges::fill(scratch.rows, &kOne);
    note(FactorStep::Table::bias,
         update_rows(step, {tables.item_bias, tables.bias_state, 1}, scratch.groups, scratch.rows, decay));
  }
  for (std::int64_t t = 0; t < size; ++t) scratch.rows[t] = scratch.user_gradients.data() + t * dim;
  even_offsets(size, 1, scratch.user_offsets);
  group_by_row({batch.users, scratch.user_offsets, {}}, tables.user_rows, Pooling::sum, scratch.groups);
  note(FactorStep::Table::users,
       update_rows(step, {tables.users, tables.user_state, dim}, scratch.groups, scratch.rows, decay));
  return done;
}

}  // namespace

const FactorFamily& factor_scalar() {
  static constexpr FactorFamily kFamily{score};
  return kFamily;
}

}  // namespace cpu

FactorStep bpr_step(const OptimizerStep& step, const FactorTables& tables, const TripletBatch& batch,
                    FactorScratch& scratch) {
  return cpu::factor_step(step, tables, batch, {}, cpu::FactorLoss::bpr, scratch);
}

double bpr_gradients(const FactorTables& tables, const TripletBatch& batch, BprNegatives negatives,
                     FactorScratch& scratch) {
  const auto loss = negatives == BprNegatives::all ? cpu::FactorLoss::bpr : cpu::FactorLoss::bpr_hardest;
  return cpu::score_batch(tables, batch, {}, loss, scratch);
}

FactorStep sampled_softmax_step(const OptimizerStep& step, const FactorTables& tables, const TripletBatch& batch,
                                const SamplingLogQ& log_q, FactorScratch& scratch) {
  return cpu::factor_step(step, tables, batch, log_q, cpu::FactorLoss::sampled_softmax, scratch);
}

}  // namespace swallowtail
