// One optimizer step of one row over wide registers, for the kernels that update rows. Included after a simd_*.h, under
// its target.
#pragma once

#include "kernels/cpu/row_update_kernels.h"

namespace swallowtail::cpu {
namespace {

constexpr std::int64_t kLanes = 16;

F16 load_some(const float* from, std::int64_t count) {
  if (count >= kLanes) return F16::load(from);
  float copy[kLanes] = {};
  std::copy_n(from, count, copy);
  return F16::load(copy);
}

void store_some(F16 values, std::int64_t count, float* to) {
  if (count >= kLanes) return values.store(to);
  float copy[kLanes];
  values.store(copy);
  std::copy_n(copy, count, to);
}

/// The weights of a row, as they are stored in fp32.
struct Fp32Weights {
  static constexpr std::int64_t kBytes = 4;
  float* row;
  F16 load(std::int64_t d, std::int64_t count) const { return load_some(row + d, count); }
  void store(F16 values, std::int64_t d, std::int64_t count) const { store_some(values, count, row + d); }
};

/// A step's numbers in all lanes.
struct Rates {
  explicit Rates(const OptimizerStep& of)
      : step(of),
        rate(F16::all(of.learning_rate)),
        epsilon(F16::all(of.epsilon)),
        keep(F16::all(of.kind == Optimizer::adamw ? 1.0F - of.learning_rate * of.weight_decay : 1.0F)) {
    const AdamScales scales =
        of.kind == Optimizer::adam || of.kind == Optimizer::adamw ? adam_scales(of) : AdamScales{};
    first_scale = F16::all(scales.first);
    second_scale = F16::all(scales.second);
  }
  const OptimizerStep& step;
  F16 rate, epsilon, keep, first_scale, second_scale;
};

/// Sixteen columns from d on; row_rate is rowwise_adagrad's rate of the whole row.
template <typename Weights>
[[gnu::always_inline]] inline void step_block(const Rates& rates, const Weights& weights, F16 gradient, float* state,
                                              F16 row_rate, std::int64_t d, std::int64_t dim) {
  const std::int64_t count = dim - d;
  F16 weight = weights.load(d, count);
  switch (rates.step.kind) {
    case Optimizer::sgd:
      weight = weight - rates.rate * gradient;
      break;
    case Optimizer::rowwise_adagrad:
      weight = weight - row_rate * gradient;
      break;
    case Optimizer::adagrad: {
      const F16 sum = load_some(state + d, count) + gradient * gradient;
      store_some(sum, count, state + d);
      weight = weight - rates.rate * gradient / (sqrt(sum) + rates.epsilon);
      break;
    }
    case Optimizer::adam:
    case Optimizer::adamw: {
      const float beta1 = rates.step.beta1, beta2 = rates.step.beta2;
      const F16 first = F16::all(beta1) * load_some(state + d, count) + F16::all(1.0F - beta1) * gradient;
      const F16 second =
          F16::all(beta2) * load_some(state + dim + d, count) + F16::all(1.0F - beta2) * gradient * gradient;
      store_some(first, count, state + d);
      store_some(second, count, state + dim + d);
      weight = weight * rates.keep;
      weight = weight - rates.rate * (first * rates.first_scale) / (sqrt(second * rates.second_scale) + rates.epsilon);
      break;
    }
  }
  weights.store(weight, d, count);
}

/// The gradient of a row while it is added up.
template <int kBlocks>
struct Gradient {
  explicit Gradient(float*) {}
  F16 get(std::int64_t b) const { return blocks[b]; }
  void set(std::int64_t b, F16 value) { blocks[b] = value; }
  F16 blocks[kBlocks];
};
template <>
struct Gradient<0> {
  explicit Gradient(float* scratch) : floats(scratch) {}
  F16 get(std::int64_t b) const { return F16::load(floats + b * kLanes); }
  void set(std::int64_t b, F16 value) { value.store(floats + b * kLanes); }
  float* floats;
};

/// One optimizer step of a row whose gradient has its decay; false, and the row is left alone, where that is not
/// finite.
template <int kBlocks, typename Weights>
[[gnu::always_inline]] inline bool take_step(const Rates& rates, const Weights& weights,
                                             const Gradient<kBlocks>& gradient, float* state, std::int64_t any_dim) {
  static_assert(kSquareColumns == 4, "add_fours adds four");
  const std::int64_t dim = kBlocks == 0 ? any_dim : kBlocks * kLanes;
  const std::int64_t blocks = kBlocks == 0 ? (dim + kLanes - 1) / kLanes : kBlocks;
  F16 difference = F16::all(0);  // stays zero, or becomes NaN
  for (std::int64_t b = 0; b < blocks; ++b) difference = difference + (gradient.get(b) - gradient.get(b));
  if (!difference.is_finite()) return false;
  F16 row_rate = F16::all(0);
  if (rates.step.kind == Optimizer::rowwise_adagrad) {
    float sum = 0;
    for (std::int64_t b = 0; b < blocks; ++b) {
      float fours[kLanes];
      F16::add_fours(gradient.get(b) * gradient.get(b)).store(fours);
      for (std::int64_t k = 0; k < kLanes; k += kSquareColumns) sum += fours[k];
    }
    state[0] += sum / static_cast<float>(dim);
    row_rate = F16::all(rates.step.learning_rate / (std::sqrt(state[0]) + rates.step.epsilon));
  }
  for (std::int64_t b = 0; b < blocks; ++b)
    step_block(rates, weights, gradient.get(b), state, row_rate, b * kLanes, dim);
  return true;
}

}  // namespace
}  // namespace swallowtail::cpu
