// Steps on two tables of factors: bpr.h and sampled_softmax.h say what they mean.
#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

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
                   FactorScratch& scratch, AloneStep* alone) {
  const std::int64_t size = batch.size();
  scratch.coefficients.resize(static_cast<std::size_t>(size * (1 + batch.negatives_each())));
  scratch.user_gradients.resize(static_cast<std::size_t>(size * tables.dim));
  scratch.losses.resize(static_cast<std::size_t>(size));
  family().score({tables, batch, log_q, loss, scratch, alone});
  double sum = 0;
  for (const float one : scratch.losses) sum += one;
  return sum;
}

/// Tells rows that were seen once from others, but for some that it takes for seen again: a bit stands for a few rows.
class SeenRows {
 public:
  static constexpr std::int64_t kBitsARow = 64;

  SeenRows(std::int64_t rows, std::vector<std::uint64_t>& marks)
      : shift_(64 - std::bit_width(static_cast<std::uint64_t>(rows * kBitsARow)) + 1), marks_(marks) {
    marks_.assign(2 * ((std::size_t{1} << (64 - shift_)) / 64), 0);
  }
  void see(std::int64_t row) {
    const auto [word, bit] = place(row);
    marks_[word + 1] |= marks_[word] & bit;
    marks_[word] |= bit;
  }
  bool again(std::int64_t row) const {
    const auto [word, bit] = place(row);
    return (marks_[word + 1] & bit) != 0;
  }

 private:
  std::pair<std::size_t, std::uint64_t> place(std::int64_t row) const {
    const std::uint64_t at = static_cast<std::uint64_t>(row) * 0x9e3779b97f4a7c15ULL >> shift_;
    return {2 * (at / 64), std::uint64_t{1} << at % 64};
  }
  int shift_;
  std::vector<std::uint64_t>& marks_;  // [bits / 64] seen, seen again
};

/// Fills scratch.alone where most samples will be: a table must have many rows for each place of the batch.
void find_alone(const FactorTables& tables, const TripletBatch& batch, FactorScratch& scratch) {
  constexpr std::int64_t kRowsAPlace = 64;
  const std::int64_t size = batch.size(), negatives = batch.negatives_each();
  scratch.alone.clear();
  if (size == 0 || !family().steps_alone || size * kRowsAPlace > tables.user_rows ||
      size * (1 + negatives) * kRowsAPlace > tables.item_rows)
    return;
  SeenRows users(size, scratch.user_marks), items(size * (1 + negatives), scratch.item_marks);
  for (const std::int64_t user : batch.users) users.see(user);
  for (const auto part : {batch.positives, batch.negatives})
    for (const std::int64_t item : part) items.see(item);
  scratch.alone.resize(static_cast<std::size_t>(size));
  for (std::int64_t t = 0; t < size; ++t) {
    bool again = users.again(batch.users[t]);
    again |= items.again(batch.positives[t]);
    for (std::int64_t k = 0; k < negatives; ++k) again |= items.again(batch.negatives[t * negatives + k]);
    scratch.alone[t] = !again;
  }
}

std::int64_t least_row(std::int64_t a, std::int64_t b) { return a < 0 ? b : b < 0 ? a : std::min(a, b); }

FactorStep factor_step(const OptimizerStep& step, const FactorTables& tables, const TripletBatch& batch,
                       const SamplingLogQ& log_q, FactorLoss loss, FactorScratch& scratch) {
  const std::int64_t negatives = batch.negatives_each(), dim = tables.dim;
  find_alone(tables, batch, scratch);
  AloneStep alone{step};
  FactorStep done;
  done.loss = score_batch(tables, batch, log_q, loss, scratch, scratch.alone.empty() ? nullptr : &alone);
  const auto note = [&](FactorStep::Table table, std::int64_t bad_alone, std::int64_t bad_shared) {
    const std::int64_t bad_row = least_row(bad_alone, bad_shared);
    if (bad_row >= 0 && done.bad_row < 0) done.bad_table = table, done.bad_row = bad_row;
  };
  scratch.shared.clear();
  for (std::int64_t t = 0; t < batch.size(); ++t)
    if (scratch.alone.empty() || scratch.alone[t] == 0) scratch.shared.push_back(t);
  const std::int64_t size = std::ssize(scratch.shared);
  // Items first: their gradients are multiples of the users as they were.
  scratch.items.resize(static_cast<std::size_t>(size * (1 + negatives)));
  scratch.shared_coefficients.resize(static_cast<std::size_t>(size * (1 + negatives)));
  scratch.shared_decay.resize(static_cast<std::size_t>(size));
  scratch.rows.resize(static_cast<std::size_t>(size));
  for (std::int64_t s = 0; s < size; ++s) {
    const std::int64_t t = scratch.shared[s];
    std::int64_t* items = scratch.items.data() + s * (1 + negatives);
    items[0] = batch.positives[t];
    std::copy_n(batch.negatives.data() + t * negatives, negatives, items + 1);
    std::copy_n(scratch.coefficients.data() + t * (1 + negatives), 1 + negatives,
                scratch.shared_coefficients.data() + s * (1 + negatives));
    scratch.shared_decay[s] = batch.weights.empty() ? 1.0F : batch.weights[t];  // each place of a row decays it
    scratch.rows[s] = tables.users + batch.users[t] * dim;
  }
  even_offsets(size, 1 + negatives, scratch.item_offsets);
  group_by_row({scratch.items, scratch.item_offsets, scratch.shared_coefficients}, tables.item_rows, Pooling::sum,
               scratch.groups);
  note(FactorStep::Table::items, alone.bad_item,
       update_rows(step, {tables.items, tables.item_state, dim}, scratch.groups, scratch.rows, scratch.shared_decay));
  if (tables.item_bias != nullptr) {
    static constexpr float kOne = 1;
    std::ranges::fill(scratch.rows, &kOne);
    note(FactorStep::Table::bias, alone.bad_bias,
         update_rows(step, {tables.item_bias, tables.bias_state, 1}, scratch.groups, scratch.rows,
                     scratch.shared_decay));
  }
  scratch.items.resize(static_cast<std::size_t>(size));
  for (std::int64_t s = 0; s < size; ++s) {
    const std::int64_t t = scratch.shared[s];
    scratch.items[s] = batch.users[t];
    scratch.rows[s] = scratch.user_gradients.data() + t * dim;
  }
  even_offsets(size, 1, scratch.user_offsets);
  group_by_row({scratch.items, scratch.user_offsets, {}}, tables.user_rows, Pooling::sum, scratch.groups);
  note(FactorStep::Table::users, alone.bad_user,
       update_rows(step, {tables.users, tables.user_state, dim}, scratch.groups, scratch.rows, scratch.shared_decay));
  return done;
}

}  // namespace

const FactorFamily& factor_scalar() {
  static constexpr FactorFamily kFamily{score, false};
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
  return cpu::score_batch(tables, batch, {}, loss, scratch, nullptr);
}

FactorStep sampled_softmax_step(const OptimizerStep& step, const FactorTables& tables, const TripletBatch& batch,
                                const SamplingLogQ& log_q, FactorScratch& scratch) {
  return cpu::factor_step(step, tables, batch, log_q, cpu::FactorLoss::sampled_softmax, scratch);
}

}  // namespace swallowtail
