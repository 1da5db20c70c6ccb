// Scores and user gradients over wide registers, the rows to come asked for ahead of time; a sample whose rows are its
// own is stepped at once, while they are near. Included after a simd_*.h, under its target.
#pragma once

#include "kernels/cpu/factor_loss.h"
#include "kernels/cpu/row_prefetch.h"
#include "kernels/cpu/row_step_body.h"

namespace swallowtail::cpu {
namespace {

/// How a sample is stepped where it is alone.
struct AloneRates {
  AloneRates(const OptimizerStep& step, std::int64_t dim)
      : rates(step), width(sparse_state_width(step.kind, dim)), bias_width(sparse_state_width(step.kind, 1)) {}
  Rates rates;
  std::int64_t width, bias_width;  // of the rows' states
};

/// How many samples ahead rows are asked for, and for how many samples at once: the searches for their pages then
/// overlap, which the work on a sample between them would keep apart. Of a sample with many rows no more than the next
/// but one.
struct SamplesAhead {
  explicit SamplesAhead(std::int64_t rows)
      : near(std::clamp<std::int64_t>(kFarRows / rows, 1, kLossesTogether)),
        far(near + std::clamp<std::int64_t>(kFarRows / rows, 1, kLossesTogether)) {}
  std::int64_t near, far;  // for the first-level cache and the second
  std::int64_t asked = 0;  // samples before this one have been asked for, far ahead
};

/// A row's step from its gradient without decay; `least` becomes the row where that is not finite and less.
template <int kBlocks>
[[gnu::always_inline]] inline void step_row_alone(const Rates& rates, Gradient<kBlocks>& gradient, float decay,
                                                  float* row, float* state, std::int64_t any_dim, std::int64_t number,
                                                  std::int64_t& least) {
  const std::int64_t dim = kBlocks == 0 ? any_dim : kBlocks * kLanes;
  const Fp32Weights<(kBlocks > 0)> weights{row};
  if (decay != 0)
    for (std::int64_t d = 0; d < dim; d += kLanes)
      gradient.set(d / kLanes, gradient.get(d / kLanes) + F16::all(decay) * weights.load(d, dim - d));
  if (!take_step<kBlocks>(rates, weights, gradient, state, dim)) keep_least(least, number);
}

/// The steps of sample t's rows, which no other place of the batch names: the same bits as from groups of one place.
/// scratch [2, padded dim] where kBlocks is 0.
template <int kBlocks>
void step_alone(const ScoreTask& task, const AloneRates& of, std::int64_t t, float* scratch) {
  const FactorTables& tables = task.tables;
  const TripletBatch& batch = task.batch;
  const std::int64_t negatives = batch.negatives_each(), dim = kBlocks == 0 ? tables.dim : kBlocks * kLanes;
  const std::int64_t user = batch.users[t];
  const auto item = [&](std::int64_t k) {
    return k == 0 ? batch.positives[t] : batch.negatives[t * negatives + k - 1];
  };
  const float* scores = task.scratch.coefficients.data() + t * (1 + negatives);
  const OptimizerStep& step = task.alone->step;
  const float weight = batch.weights.empty() ? 1.0F : batch.weights[t];
  const float decay = step.kind == Optimizer::adamw ? 0.0F : step.weight_decay * weight;
  float* const user_row = tables.users + user * dim;
  Gradient<kBlocks> of_user(scratch);
  for (std::int64_t d = 0; d < dim; d += kLanes) {
    F16 sum = F16::all(scores[0]) * load_part<(kBlocks > 0)>(tables.items + item(0) * dim + d, dim - d);
    for (std::int64_t k = 1; k <= negatives; ++k)
      sum = fma(F16::all(scores[k]), load_part<(kBlocks > 0)>(tables.items + item(k) * dim + d, dim - d), sum);
    of_user.set(d / kLanes, F16::all(0) + sum);
  }
  for (std::int64_t k = 0; k <= negatives; ++k) {
    Gradient<kBlocks> of_item(scratch + (dim + kLanes - 1) / kLanes * kLanes);
    for (std::int64_t d = 0; d < dim; d += kLanes)
      of_item.set(d / kLanes, F16::all(0) + F16::all(scores[k]) * load_part<(kBlocks > 0)>(user_row + d, dim - d));
    step_row_alone<kBlocks>(of.rates, of_item, decay, tables.items + item(k) * dim,
                            tables.item_state + item(k) * of.width, dim, item(k), task.alone->bad_item);
    if (tables.item_bias == nullptr) continue;
    float bias_gradient[kLanes] = {0.0F + scores[k]};
    Gradient<0> of_bias(bias_gradient);
    step_row_alone<0>(of.rates, of_bias, decay, tables.item_bias + item(k), tables.bias_state + item(k) * of.bias_width,
                      1, item(k), task.alone->bad_bias);
  }
  step_row_alone<kBlocks>(of.rates, of_user, decay, user_row, tables.user_state + user * of.width, dim, user,
                          task.alone->bad_user);
}

/// The rows of a sample, and their states where it is stepped alone.
template <Ask kAsk, int kBlocks>
[[gnu::always_inline]] inline void ask_for_sample(const ScoreTask& task, std::int64_t t, std::int64_t width) {
  const FactorTables& tables = task.tables;
  const TripletBatch& batch = task.batch;
  const std::int64_t negatives = batch.negatives_each(), dim = kBlocks == 0 ? tables.dim : kBlocks * kLanes;
  const auto ask = [&](const float* rows, const float* states, std::int64_t row) __attribute__((always_inline)) {
    ask_for<kAsk, 4 * kBlocks * kLanes>(rows + row * dim, 4 * dim);
    if (task.alone != nullptr && width > 0) ask_for<kAsk>(states + row * width, 4 * width);
  };
  ask(tables.users, tables.user_state, batch.users[t]);
  ask(tables.items, tables.item_state, batch.positives[t]);
  for (std::int64_t k = 0; k < negatives; ++k) ask(tables.items, tables.item_state, batch.negatives[t * negatives + k]);
}

/// Samples [first, end) of a task, at most kLossesTogether: their rows are near when the gradients want them again.
/// kBlocks blocks of 16 columns; 0: any number, with `scratch` as step_alone() wants it. `last`: of the thread.
template <int kBlocks>
void score_some(const ScoreTask& task, const AloneRates& rates, SamplesAhead& ahead, std::int64_t first,
                std::int64_t end, std::int64_t last, float* scratch) {
  const TripletBatch& batch = task.batch;
  const std::int64_t negatives = batch.negatives_each();
  const std::int64_t dim = kBlocks == 0 ? task.tables.dim : kBlocks * kLanes;
  const auto user = [&](std::int64_t t) { return task.tables.users + batch.users[t] * dim; };
  const auto item = [&](std::int64_t t, std::int64_t k) {
    return task.tables.items + (k == 0 ? batch.positives[t] : batch.negatives[t * negatives + k - 1]) * dim;
  };
  const auto ask_until = [&](std::int64_t until) {
    for (until = std::min(last, until); ahead.asked < until; ++ahead.asked)
      ask_for_sample<Ask::far, kBlocks>(task, ahead.asked, rates.width);
  };
  for (std::int64_t t = first; t < end; ++t) {
    if (t + ahead.far >= ahead.asked) ask_until(t + ahead.far + ahead.near);
    if (t + ahead.near < last) ask_for_sample<Ask::near_to_write, kBlocks>(task, t + ahead.near, rates.width);
    float* scores = task.scratch.coefficients.data() + t * (1 + negatives);
    for (std::int64_t k = 0; k <= negatives; ++k) {
      const float *a = user(t), *b = item(t, k);
      F16 sum = F16::all(0);
      for (std::int64_t d = 0; d < dim; d += kLanes)
        sum = fma(load_part<(kBlocks > 0)>(a + d, dim - d), load_part<(kBlocks > 0)>(b + d, dim - d), sum);
      scores[k] = F16::halved_sum(sum);
    }
  }
  losses_of(task, first, end);
  for (std::int64_t t = first; t < end; ++t) {
    if (task.alone != nullptr && task.scratch.alone[t] != 0) {
      step_alone<kBlocks>(task, rates, t, scratch);
      continue;
    }
    const float* scores = task.scratch.coefficients.data() + t * (1 + negatives);
    float* gradient = task.scratch.user_gradients.data() + t * dim;
    for (std::int64_t d = 0; d < dim; d += kLanes) {
      F16 sum = F16::all(scores[0]) * load_part<(kBlocks > 0)>(item(t, 0) + d, dim - d);
      for (std::int64_t k = 1; k <= negatives; ++k)
        sum = fma(F16::all(scores[k]), load_part<(kBlocks > 0)>(item(t, k) + d, dim - d), sum);
      store_some(sum, dim - d, gradient + d);
    }
  }
}

template <int kBlocks>
void score_all(const ScoreTask& task) {
  const std::int64_t size = task.batch.size(), dim = task.tables.dim;
  const OptimizerStep none;
  const AloneRates rates(task.alone == nullptr ? none : task.alone->step, dim);
#pragma omp parallel if (size >= 256)
  {
    std::vector<float> scratch(static_cast<std::size_t>(kBlocks == 0 ? 2 * (dim + kLanes) : 0));
    const std::int64_t threads = omp_get_num_threads(), thread = omp_get_thread_num();
    const std::int64_t blocks = (size + kLossesTogether - 1) / kLossesTogether;
    const std::int64_t begin = blocks * thread / threads * kLossesTogether;
    const std::int64_t last = std::min(size, blocks * (thread + 1) / threads * kLossesTogether);
    SamplesAhead ahead(2 + task.batch.negatives_each());
    ahead.asked = begin;
    for (std::int64_t first = begin; first < last; first += kLossesTogether)
      score_some<kBlocks>(task, rates, ahead, first, std::min(last, first + kLossesTogether), last, scratch.data());
  }
}

void score(const ScoreTask& task) {
  switch (task.tables.dim) {
    case 16:
      return score_all<1>(task);
    case 32:
      return score_all<2>(task);
    case 64:
      return score_all<4>(task);
    case 128:
      return score_all<8>(task);
    default:
      return score_all<0>(task);
  }
}

constexpr FactorFamily kFamily{score, true};

}  // namespace
}  // namespace swallowtail::cpu
