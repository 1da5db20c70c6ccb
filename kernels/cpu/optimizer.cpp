#include "kernels/optimizer.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/row_update_kernels.h"

namespace swallowtail {

cpu::AdamScales cpu::adam_scales(const OptimizerStep& step) noexcept {
  const auto t = static_cast<double>(step.step);
  return {static_cast<float>(1.0 / (1.0 - std::pow(static_cast<double>(step.beta1), t))),
          static_cast<float>(1.0 / (1.0 - std::pow(static_cast<double>(step.beta2), t)))};
}

namespace {

using cpu::adam_scales;
using cpu::AdamScales;

void adagrad(const OptimizerStep& step, float& weight, float gradient, float& sum) noexcept {
  sum += gradient * gradient;
  weight -= step.learning_rate * gradient / (std::sqrt(sum) + step.epsilon);
}

void adam(const OptimizerStep& step, AdamScales scales, float& weight, float gradient, float& first,
          float& second) noexcept {
  first = step.beta1 * first + (1.0F - step.beta1) * gradient;
  second = step.beta2 * second + (1.0F - step.beta2) * gradient * gradient;
  weight -= step.learning_rate * (first * scales.first) / (std::sqrt(second * scales.second) + step.epsilon);
}

float decayed(const OptimizerStep& step, float weight, float gradient) noexcept {
  return step.weight_decay == 0 ? gradient : gradient + step.weight_decay * weight;
}

}  // namespace

std::int64_t sparse_state_width(Optimizer kind, std::int64_t dim) noexcept {
  switch (kind) {
    case Optimizer::sgd:
      return 0;
    case Optimizer::adagrad:
      return dim;
    case Optimizer::rowwise_adagrad:
      return 1;
    case Optimizer::adam:
    case Optimizer::adamw:
      return 2 * dim;
  }
  return 0;
}

std::int64_t dense_state_width(Optimizer kind, float momentum, std::int64_t size) noexcept {
  if (kind == Optimizer::sgd) return momentum == 0 ? 0 : size;
  return sparse_state_width(kind, size);
}

float usual_epsilon(Optimizer kind) noexcept {
  switch (kind) {
    case Optimizer::adam:
    case Optimizer::adamw:
      return 1e-8F;
    default:
      return 1e-10F;
  }
}

void add_decay(const OptimizerStep& step, std::int64_t cols, const float* weights, float* gradient) noexcept {
  if (step.kind == Optimizer::adamw) return;
  for (std::int64_t d = 0; d < cols; ++d) gradient[d] = decayed(step, weights[d], gradient[d]);
}

void square_pieces(const float* gradient, std::int64_t cols, float* pieces) noexcept {
  for (std::int64_t first = 0; first < cols; first += kSquareColumns) {
    float sum = 0;
    for (std::int64_t d = first; d < std::min(cols, first + kSquareColumns); ++d) sum += gradient[d] * gradient[d];
    *pieces++ = sum;
  }
}

float mean_square(std::span<const float> pieces, std::int64_t dim) noexcept {
  float sum = 0;
  for (const float piece : pieces) sum += piece;
  return sum / static_cast<float>(dim);
}

void apply_row(const OptimizerStep& step, std::int64_t cols, float* weights, const float* gradient, float* state,
               float mean_square) noexcept {
  switch (step.kind) {
    case Optimizer::sgd:
      for (std::int64_t d = 0; d < cols; ++d) weights[d] -= step.learning_rate * gradient[d];
      return;
    case Optimizer::adagrad:
      for (std::int64_t d = 0; d < cols; ++d) adagrad(step, weights[d], gradient[d], state[d]);
      return;
    case Optimizer::rowwise_adagrad: {
      state[0] += mean_square;
      const float rate = step.learning_rate / (std::sqrt(state[0]) + step.epsilon);
      for (std::int64_t d = 0; d < cols; ++d) weights[d] -= rate * gradient[d];
      return;
    }
    case Optimizer::adam:
    case Optimizer::adamw: {
      const float keep = step.kind == Optimizer::adamw ? 1.0F - step.learning_rate * step.weight_decay : 1.0F;
      const AdamScales scales = adam_scales(step);
      for (std::int64_t d = 0; d < cols; ++d) {
        weights[d] *= keep;
        adam(step, scales, weights[d], gradient[d], state[d], state[cols + d]);
      }
      return;
    }
  }
}

void update_row(const OptimizerStep& step, std::int64_t dim, float* weights, float* gradient, float* state) noexcept {
  add_decay(step, dim, weights, gradient);
  float mean = 0;
  if (step.kind == Optimizer::rowwise_adagrad) {
    for (std::int64_t first = 0; first < dim; first += kSquareColumns) {
      float piece = 0;
      square_pieces(gradient + first, std::min(kSquareColumns, dim - first), &piece);
      mean += piece;
    }
    mean /= static_cast<float>(dim);
  }
  apply_row(step, dim, weights, gradient, state, mean);
}

namespace {

// Compiled for each instruction set, chosen when the program is loaded; elementwise, so all give the same bits.
#if defined(__x86_64__) && !defined(__clang__)
#define SWALLOWTAIL_EACH_ISA __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define SWALLOWTAIL_EACH_ISA
#endif

SWALLOWTAIL_EACH_ISA void sgd_elements(float rate, float decay, std::int64_t count, const float* gradient,
                                       float* weights) {
  if (decay == 0)
    for (std::int64_t i = 0; i < count; ++i) weights[i] -= rate * gradient[i];
  else
    for (std::int64_t i = 0; i < count; ++i) weights[i] -= rate * (gradient[i] + decay * weights[i]);
}

SWALLOWTAIL_EACH_ISA void adam_elements(const OptimizerStep& with, AdamScales scales, std::int64_t count,
                                        const float* gradient, float* weights, float* first, float* second) {
  const OptimizerStep step = with;  // a copy: the arrays cannot lie over it
  const bool is_decoupled = step.kind == Optimizer::adamw;
  const float keep = is_decoupled ? 1.0F - step.learning_rate * step.weight_decay : 1.0F;
  const float decay = is_decoupled ? 0.0F : step.weight_decay;
  for (std::int64_t i = 0; i < count; ++i) {
    const float g = decay == 0 ? gradient[i] : gradient[i] + decay * weights[i];
    weights[i] *= keep;
    adam(step, scales, weights[i], g, first[i], second[i]);
  }
}

/// What is not worth a loop of its own, one weight at a time.
void update_elements(const OptimizerStep& step, std::int64_t begin, std::int64_t end, float* weights,
                     const float* gradient, float* state) {
  for (std::int64_t i = begin; i < end; ++i) {
    switch (step.kind) {
      case Optimizer::sgd: {
        // The first step starts the velocity at the gradient, as PyTorch does.
        const float direction = decayed(step, weights[i], gradient[i]);
        state[i] = step.step == 1 ? direction : step.momentum * state[i] + direction;
        weights[i] -= step.learning_rate * state[i];
        break;
      }
      case Optimizer::rowwise_adagrad:
      case Optimizer::adagrad:
        adagrad(step, weights[i], decayed(step, weights[i], gradient[i]), state[i]);
        break;
      case Optimizer::adam:
      case Optimizer::adamw:
        break;  // adam_elements
    }
  }
}

}  // namespace

void update_dense(const OptimizerStep& step, std::span<float> weights, std::span<const float> gradient,
                  std::span<float> state) noexcept {
  const auto size = static_cast<std::int64_t>(weights.size());
  const AdamScales scales = adam_scales(step);
  constexpr std::int64_t kBlock = 16384;
#pragma omp parallel for schedule(static) if (size > 65536)
  for (std::int64_t begin = 0; begin < size; begin += kBlock) {
    const std::int64_t end = std::min(size, begin + kBlock);
    if (step.kind == Optimizer::sgd && step.momentum == 0)
      sgd_elements(step.learning_rate, step.weight_decay, end - begin, gradient.data() + begin, weights.data() + begin);
    else if (step.kind == Optimizer::adam || step.kind == Optimizer::adamw)
      adam_elements(step, scales, end - begin, gradient.data() + begin, weights.data() + begin, state.data() + begin,
                    state.data() + size + begin);
    else
      update_elements(step, begin, end, weights.data(), gradient.data(), state.data());
  }
}

}  // namespace swallowtail
