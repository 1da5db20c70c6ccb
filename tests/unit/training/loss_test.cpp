#include "trainer/training/loss.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace swallowtail {
namespace {

TEST(Loss, OfZeroLogitsIsLnTwo) {
  const std::vector<float> logits{0, 0, 0}, labels{0, 1, 1};
  EXPECT_NEAR(loss_sum({}, logits, labels, {}, 1, {}), 3 * 0.69314718055994531, 1e-12);
}

TEST(Loss, StaysFiniteAndExactForHugeLogits) {
  const std::vector<float> logits{1000, -1000, 1000, -1000}, labels{1, 0, 0, 1};
  std::vector<float> gradient(4);
  EXPECT_DOUBLE_EQ(loss_sum({}, logits, labels, {}, 1, gradient), 2000);
  EXPECT_EQ(gradient, (std::vector<float>{0, 0, 1, -1}));
}

TEST(Loss, OfTheLogitOfTheBaseRateIsItsEntropy) {
  const float logit = std::log(0.25F / 0.75F);
  const std::vector<float> logits(4, logit), labels{1, 0, 0, 0};
  EXPECT_NEAR(loss_sum({}, logits, labels, {}, 1, {}) / 4, -0.25 * std::log(0.25) - 0.75 * std::log(0.75), 1e-7);
}

TEST(Loss, WeighsSamplesAndClasses) {
  const std::vector<float> logits{0, 0}, labels{0, 1}, weights{3, 0.5};
  LossOptions options;
  options.negative_weight = 2;
  options.positive_weight = 10;
  std::vector<float> gradient(2);
  EXPECT_NEAR(loss_sum(options, logits, labels, weights, 1, gradient), (2 * 3 + 10 * 0.5) * std::log(2.0), 1e-12);
  EXPECT_FLOAT_EQ(gradient[0], 2 * 3 * 0.5F);
  EXPECT_FLOAT_EQ(gradient[1], -10 * 0.5F * 0.5F);
}

/// The gradient is the derivative of the sum, for every option, by central differences in fp64.
TEST(Loss, GradientIsTheDerivative) {
  for (const bool mse : {false, true})
    for (const double smoothing : {0.0, 0.2}) {
      LossOptions options;
      options.mse = mse;
      options.label_smoothing = smoothing;
      options.positive_weight = 4;
      for (const float label : {0.0F, 1.0F})
        for (const float logit : {-3.0F, -0.5F, 0.25F, 2.0F}) {
          const std::vector<float> labels{label}, weights{1.5F};
          const auto sum = [&](float x) { return loss_sum(options, std::vector<float>{x}, labels, weights, 1, {}); };
          const float step = 1.0F / 1024;
          std::vector<float> gradient(1);
          loss_sum(options, std::vector<float>{logit}, labels, weights, 7, gradient);
          EXPECT_NEAR(gradient[0], 7 * (sum(logit + step) - sum(logit - step)) / (2 * step), 2e-5)
              << logit << " " << label;
        }
    }
}

TEST(Loss, ClassWeightsMustBeTwo) {
  EXPECT_THROW(loss_options(Experiment::parse("data: {source: synthetic}\ntrain: {class_weights: [1, 2, 3]}\n")),
               Error);
}

}  // namespace
}  // namespace swallowtail
