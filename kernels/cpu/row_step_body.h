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

/// The same where the compiler may know that there are sixteen.
template <bool kWhole>
F16 load_part(const float* from, std::int64_t count) {
  return kWhole ? F16::load(from) : load_some(from, count);
}
template <bool kWhole>
void store_part(F16 values, std::int64_t count, float* to) {
  if (kWhole)
    values.store(to);
  else
    store_some(values, count, to);
}

/// The weights of a row, as they are stored in fp32.
template <bool kWhole>
struct Fp32Weights {
  static constexpr std::int64_t kBytes = 4;
  float* row;
  F16 load(std::int64_t d, std::int64_t count) const { return load_part<kWhole>(row + d, count); }
  void store(F16 values, std::int64_t d, std::int64_t count) const { store_part<kWhole>(values, count, row + d); }
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
  constexpr bool kWhole = kBlocks > 0;
  // The kind is asked once a row, not once a block.
  const auto each_block = [&](auto stepped) __attribute__((always_inline)) {
    for (std::int64_t b = 0; b < blocks; ++b) {
      const std::int64_t d = b * kLanes, count = dim - d;
      weights.store(stepped(weights.load(d, count), gradient.get(b), d, count), d, count);
    }
  };
  switch (rates.step.kind) {
    case Optimizer::sgd:
      each_block([&](F16 weight, F16 g, std::int64_t, std::int64_t) { return weight - rates.rate * g; });
      break;
    case Optimizer::rowwise_adagrad: {
      float sum = 0;
      for (std::int64_t b = 0; b < blocks; ++b) {
        float fours[kLanes];
        F16::add_fours(gradient.get(b) * gradient.get(b)).store(fours);
        for (std::int64_t k = 0; k < kLanes; k += kSquareColumns) sum += fours[k];
      }
      state[0] += sum / static_cast<float>(dim);
      const F16 rate = F16::all(rates.step.learning_rate / (std::sqrt(state[0]) + rates.step.epsilon));
      each_block([&](F16 weight, F16 g, std::int64_t, std::int64_t) { return weight - rate * g; });
      break;
    }
    case Optimizer::adagrad:
      each_block([&](F16 weight, F16 g, std::int64_t d, std::int64_t count) {
        const F16 sum = load_part<kWhole>(state + d, count) + g * g;
        store_part<kWhole>(sum, count, state + d);
        return weight - rates.rate * g / (sqrt(sum) + rates.epsilon);
      });
      break;
    case Optimizer::adam:
    case Optimizer::adamw: {
      const F16 beta1 = F16::all(rates.step.beta1), beta2 = F16::all(rates.step.beta2);
      const F16 rest1 = F16::all(1.0F - rates.step.beta1), rest2 = F16::all(1.0F - rates.step.beta2);
      each_block([&](F16 weight, F16 g, std::int64_t d, std::int64_t count) {
        const F16 first = beta1 * load_part<kWhole>(state + d, count) + rest1 * g;
        const F16 second = beta2 * load_part<kWhole>(state + dim + d, count) + rest2 * g * g;
        store_part<kWhole>(first, count, state + d);
        store_part<kWhole>(second, count, state + dim + d);
        weight = weight * rates.keep;
        return weight - rates.rate * (first * rates.first_scale) / (sqrt(second * rates.second_scale) + rates.epsilon);
      });
      break;
    }
  }
  return true;
}

}  // namespace
}  // namespace swallowtail::cpu
