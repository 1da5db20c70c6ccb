// Values worked out by hand or by an independent program (NumPy, fp64); none by the code under test.
#include "kernels/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace swallowtail {
namespace {

void expect_near(const std::vector<float>& got, const std::vector<double>& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], wanted[i], 2e-7) << "at " << i;
}

OptimizerStep step_of(Optimizer kind, float rate) {
  OptimizerStep step;
  step.kind = kind;
  step.learning_rate = rate;
  step.epsilon = usual_epsilon(kind);
  return step;
}

TEST(RowwiseAdagrad, GoldenTwoSteps) {
  std::vector<float> weights{1, -2, 0.5F, 0}, state(1);
  const auto step = step_of(Optimizer::rowwise_adagrad, 0.1F);
  std::vector<float> gradient{0.2F, -0.4F, 0, 0.4F};
  update_row(step, 4, weights.data(), gradient.data(), state.data());
  EXPECT_NEAR(state[0], 0.09, 1e-8);
  expect_near(weights, {0.9333333, -1.8666667, 0.5, -0.1333333});
  gradient.assign(4, 0.1F);
  update_row(step, 4, weights.data(), gradient.data(), state.data());
  EXPECT_NEAR(state[0], 0.10, 1e-8);
  expect_near(weights, {0.9017106, -1.8982894, 0.4683772, -0.1649561});
}

TEST(Adagrad, GoldenTwoSteps) {
  std::vector<float> weights{1, -2}, state(2);
  const auto step = step_of(Optimizer::adagrad, 0.1F);
  std::vector<float> gradient{0.2F, -0.4F};
  update_row(step, 2, weights.data(), gradient.data(), state.data());
  expect_near(weights, {0.9, -1.9});
  gradient.assign(2, 0.1F);
  update_row(step, 2, weights.data(), gradient.data(), state.data());
  expect_near(weights, {0.8552786, -1.9242536});
}

TEST(RowwiseAdagrad, OfOneColumnIsAdagrad) {
  std::vector<float> a{0.3F}, b{0.3F}, state_a(1), state_b(1);
  for (int i = 1; i < 20; ++i) {
    std::vector<float> g{0.1F * static_cast<float>(i % 5) - 0.2F}, h = g;
    update_row(step_of(Optimizer::rowwise_adagrad, 0.05F), 1, a.data(), g.data(), state_a.data());
    update_row(step_of(Optimizer::adagrad, 0.05F), 1, b.data(), h.data(), state_b.data());
    EXPECT_NEAR(a[0], b[0], 1e-7);
  }
}

TEST(Adam, FirstStepMovesByTheLearningRate) {
  // The first corrected moments are g and g^2, so the step is lr * g / (|g| + eps) whatever the gradient's size.
  for (const float size : {1e-3F, 1.0F, 100.0F}) {
    std::vector<float> weights{1, 1}, state(4), gradient{size, -size};
    auto step = step_of(Optimizer::adam, 0.01F);
    step.step = 1;
    update_row(step, 2, weights.data(), gradient.data(), state.data());
    expect_near(weights, {0.99, 1.01});
  }
}

TEST(AdamW, DecaysWeightsApartFromTheGradient) {
  std::vector<float> weights{2}, state(2), gradient{0};
  auto step = step_of(Optimizer::adamw, 0.1F);
  step.weight_decay = 0.5F;
  update_row(step, 1, weights.data(), gradient.data(), state.data());
  EXPECT_FLOAT_EQ(weights[0], 2 * (1 - 0.1F * 0.5F));
}

TEST(RowwiseAdagrad, WeightDecayEntersBeforeTheSquare) {
  std::vector<float> weights{1, 3}, state(1), gradient{0, 0};
  auto step = step_of(Optimizer::rowwise_adagrad, 0.1F);
  step.weight_decay = 0.1F;
  update_row(step, 2, weights.data(), gradient.data(), state.data());
  EXPECT_NEAR(state[0], (0.01 + 0.09) / 2, 1e-8);
}

TEST(DenseOptimizers, EqualTheRowOptimizersOnAnArray) {
  for (const Optimizer kind : {Optimizer::sgd, Optimizer::adagrad, Optimizer::adam, Optimizer::adamw})
    for (const int kSize : {37, 70001}) {  // the second is shared among threads
      std::vector<float> row(kSize), dense;
      for (int i = 0; i < kSize; ++i) row[i] = std::sin(static_cast<float>(i));
      dense = row;
      std::vector<float> row_state(sparse_state_width(kind, kSize)), dense_state(dense_state_width(kind, 0, kSize));
      ASSERT_EQ(row_state.size(), dense_state.size());
      for (int step_number = 1; step_number <= 5; ++step_number) {
        auto step = step_of(kind, 0.03F);
        step.weight_decay = 0.01F;
        step.step = step_number;
        std::vector<float> gradient(kSize);
        for (int i = 0; i < kSize; ++i) gradient[i] = std::cos(static_cast<float>(i * step_number));
        update_dense(step, dense, gradient, dense_state);
        update_row(step, kSize, row.data(), gradient.data(), row_state.data());
      }
      EXPECT_EQ(row, dense) << "optimizer " << static_cast<int>(kind);
    }
}

TEST(DenseSgd, MomentumStartsAtTheGradient) {
  auto step = step_of(Optimizer::sgd, 1);
  step.momentum = 0.5F;
  std::vector<float> weights{0}, state(1);
  const std::vector<float> gradient{1};
  step.step = 1;
  update_dense(step, weights, gradient, state);
  EXPECT_FLOAT_EQ(weights[0], -1);
  step.step = 2;
  update_dense(step, weights, gradient, state);
  EXPECT_FLOAT_EQ(weights[0], -2.5F);  // velocity 0.5 * 1 + 1
}

}  // namespace
}  // namespace swallowtail
