#include "kernels/cuda/dense_update.h"

#include <cmath>
#include <limits>

#include "kernels/cuda/click_loss.h"
#include "kernels/optimizer.h"
#include "tests/emulator/half.h"
#include "tests/emulator/shapes.h"

namespace swallowtail::cuda {
namespace {

using testing::below;

TEST(DenseUpdate, HasTheBitsOfTheHost) {
  testing::for_seeds("dense optimizers", [](std::uint64_t seed) {
    const std::int64_t count = below(seed, 1, 700);
    OptimizerStep step{
        .kind = std::array{Optimizer::sgd, Optimizer::adagrad, Optimizer::adam, Optimizer::adamw}[below(seed, 2, 4)],
        .learning_rate = 0.1F,
        .weight_decay = below(seed, 3, 2) ? 0.01F : 0.0F,
        .momentum = below(seed, 4, 2) ? 0.9F : 0.0F};
    step.epsilon = usual_epsilon(step.kind);
    const bool averages = below(seed, 5, 2) == 0;
    const std::int64_t width = dense_state_width(step.kind, step.momentum, count);
    auto weights = testing::values(seed, 10, count);
    std::vector<float> state(static_cast<std::size_t>(width), 0.0F), average = weights;
    Stream stream;
    auto device_weights = testing::on_device(weights, stream), device_average = testing::on_device(average, stream);
    auto device_state = testing::on_device(state, stream);
    for (step.step = 1; step.step <= 3; ++step.step) {
      const auto gradient = testing::values(seed, 20 + static_cast<std::uint64_t>(step.step), count);
      const float share = 0.25F;
      update_dense(step, weights, gradient, state);
      for (std::size_t i = 0; i < weights.size(); ++i) average[i] += share * (weights[i] - average[i]);
      const auto facts =
          testing::on_device(std::vector{StepFacts{.dense = Rates(step), .average_share = share}}, stream);
      const auto device_gradient = testing::on_device(gradient, stream);
      update_dense({.count = count,
                    .weights = device_weights.data(),
                    .gradient = device_gradient.data(),
                    .state = device_state.data(),
                    .average = averages ? device_average.data() : nullptr,
                    .facts = facts.data()},
                   stream);
      EXPECT_TRUE(testing::same_bits(weights, testing::on_host(device_weights, stream))) << "seed " << seed;
      EXPECT_TRUE(testing::same_bits(state, testing::on_host(device_state, stream))) << "seed " << seed;
      if (averages) {
        EXPECT_TRUE(testing::same_bits(average, testing::on_host(device_average, stream))) << "seed " << seed;
      }
    }
  });
}

TEST(DenseUpdate, ClipsToTheNorm) {
  Stream stream;
  const auto values = testing::values(1, 2, 5000);
  const auto gradient = testing::on_device(values, stream);
  double squares = 0;
  for (const float value : values) squares += static_cast<double>(value) * value;
  DeviceBuffer<double> sum(1);
  SquaresScratch scratch;
  sum_of_squares(gradient.data(), gradient.size(), sum.data(), scratch, stream);
  EXPECT_NEAR(testing::on_host(sum, stream)[0], squares, 1e-9 * squares);
  for (const double limit : {1.0, 1e6}) {
    const auto facts =
        testing::on_device(std::vector{StepFacts{.dense = Rates(OptimizerStep{.learning_rate = 1})}}, stream);
    auto weights = testing::on_device(std::vector<float>(values.size(), 0.0F), stream);
    update_dense({.count = weights.size(),
                  .weights = weights.data(),
                  .gradient = gradient.data(),
                  .facts = facts.data(),
                  .squares = sum.data(),
                  .clip_norm = limit},
                 stream);
    const auto scale = limit < std::sqrt(squares) ? static_cast<float>(limit / std::sqrt(squares)) : 1.0F;
    const auto got = testing::on_host(weights, stream);
    for (std::size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(got[i], -values[i] * scale, 1e-6);
  }
}

TEST(FindNonFinite, NamesTheFirst) {
  testing::for_seeds("non-finite", [](std::uint64_t seed) {
    const std::int64_t count = 1 + below(seed, 1, 3000);
    auto values = testing::values(seed, 2, count);
    unsigned long long wanted = kNoBadPlace;
    for (std::uint64_t bad = 0; bad < static_cast<std::uint64_t>(below(seed, 3, 4)); ++bad) {
      const std::int64_t at = below(seed, 10 + bad, count);
      values[static_cast<std::size_t>(at)] = bad % 2 ? NAN : std::numeric_limits<float>::infinity();
      wanted = std::min(wanted, static_cast<unsigned long long>(at));
    }
    Stream stream;
    const auto device = testing::on_device(values, stream);
    DeviceBuffer<unsigned long long> first(1);
    find_non_finite(device.data(), count, first.data(), stream);
    EXPECT_EQ(testing::on_host(first, stream)[0], wanted) << "seed " << seed;
  });
}

TEST(Unscale, MultipliesByTheFacts) {
  Stream stream;
  const auto before = testing::values(1, 1, 300);
  auto values = testing::on_device(before, stream);
  const auto facts = testing::on_device(std::vector{StepFacts{.unscale = 0.125F}}, stream);
  unscale(values.data(), values.size(), facts.data(), stream);
  const auto after = testing::on_host(values, stream);
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_EQ(after[i], before[i] * 0.125F);
}

/// The formulas of trainer/training/loss.h.
double loss_on_host(const ClickLoss& loss, float logit_f, float label_f, float weight_f, double scale,
                    float& gradient) {
  const double logit = logit_f, label = label_f * (1 - loss.label_smoothing) + loss.label_smoothing / 2;
  const double weight = (label_f > 0.5F ? loss.positive_weight : loss.negative_weight) * weight_f;
  const double probability = 1 / (1 + std::exp(-logit)), miss = probability - label;
  gradient = static_cast<float>(scale * weight * (loss.mse ? 2 * miss * probability * (1 - probability) : miss));
  return weight *
         (loss.mse ? miss * miss : std::max(logit, 0.0) - logit * label + std::log1p(std::exp(-std::abs(logit))));
}

TEST(ClickLoss, EqualsTheHostsFormulas) {
  testing::for_seeds("loss", [](std::uint64_t seed) {
    const std::int64_t samples = below(seed, 1, 700), linear = below(seed, 2, 4), stride = linear + below(seed, 3, 3);
    ClickLoss loss{.mse = below(seed, 4, 2) == 0};
    if (below(seed, 5, 2)) loss = {loss.mse, 0.5, 3, 0.1};
    auto logits = testing::values(seed, 10, samples);
    for (float& logit : logits) logit *= 20;
    std::vector<float> labels, weights;
    for (std::int64_t b = 0; b < samples; ++b) {
      labels.push_back(static_cast<float>(below(seed, 1000 + static_cast<std::uint64_t>(b), 2)));
      weights.push_back(testing::value_at(seed, 11, b));
    }
    const bool weighted = below(seed, 6, 2) == 0;
    Stream stream;
    const auto device_logits = testing::on_device(logits, stream), device_labels = testing::on_device(labels, stream);
    const auto device_weights = testing::on_device(weights, stream);
    const auto facts = testing::on_device(std::vector{StepFacts{.gradient_scale = 0.125}}, stream);
    DeviceBuffer<float> top(samples * 8), pooled(samples * stride);
    zero(pooled.data(), pooled.size(), stream);
    DeviceBuffer<double> sum(1);
    LossScratch scratch;
    click_loss(
        loss,
        {samples, device_logits.data(), device_labels.data(), weighted ? device_weights.data() : nullptr, facts.data()},
        sum.data(), {top.data(), 8, pooled.data(), stride, linear}, scratch, stream);
    double wanted = 0;
    const auto top_gradient = testing::on_host(top, stream), linear_gradient = testing::on_host(pooled, stream);
    for (std::size_t b = 0; b < logits.size(); ++b) {
      float gradient = 0;
      wanted += loss_on_host(loss, logits[b], labels[b], weighted ? weights[b] : 1.0F, 0.125, gradient);
      EXPECT_NEAR(top_gradient[b * 8], gradient, 1e-6 * std::abs(gradient) + 1e-12) << "seed " << seed;
      for (std::size_t c = 1; c < 8; ++c) EXPECT_EQ(top_gradient[b * 8 + c], 0.0F);
      for (std::size_t t = 0; t < static_cast<std::size_t>(linear); ++t)
        EXPECT_EQ(linear_gradient[b * static_cast<std::size_t>(stride) + t], top_gradient[b * 8]);
    }
    EXPECT_NEAR(testing::on_host(sum, stream)[0], wanted, 1e-9 * (1 + std::abs(wanted))) << "seed " << seed;
    DeviceBuffer<float> top_again(samples * 8), pooled_again(samples * stride);
    zero(pooled_again.data(), pooled_again.size(), stream);
    std::vector<float> gradients;
    for (std::size_t b = 0; b < logits.size(); ++b) gradients.push_back(top_gradient[b * 8]);
    const auto device_gradients = testing::on_device(gradients, stream);
    spread_gradient(samples, device_gradients.data(), {top_again.data(), 8, pooled_again.data(), stride, linear},
                    stream);
    EXPECT_TRUE(testing::same_bits(top_gradient, testing::on_host(top_again, stream)));
    EXPECT_TRUE(testing::same_bits(linear_gradient, testing::on_host(pooled_again, stream)));
  });
}

TEST(SumLogits, AddsEveryTerm) {
  testing::for_seeds("logits", [](std::uint64_t seed) {
    const std::int64_t samples = below(seed, 1, 300), linear = below(seed, 2, 4), dense = below(seed, 3, 6);
    const auto top = testing::values(seed, 10, samples * 8), pooled = testing::values(seed, 11, samples * 9);
    const auto inputs = testing::values(seed, 12, samples * 8), weights = testing::values(seed, 13, 8);
    Stream stream;
    const auto on = [&](const std::vector<float>& values) { return testing::on_device(values, stream); };
    const auto device_top = on(top), device_pooled = on(pooled), device_inputs = on(inputs),
               device_weights = on(weights);
    DeviceBuffer<float> logits(samples);
    sum_logits({samples, device_top.data(), 8, device_pooled.data(), 9, linear, device_inputs.data(), 8, dense,
                device_weights.data()},
               logits.data(), stream);
    std::vector<float> wanted;
    for (std::size_t b = 0; b < static_cast<std::size_t>(samples); ++b) {
      float logit = top[b * 8], sum = 0;
      for (std::size_t t = 0; t < static_cast<std::size_t>(linear); ++t) logit += pooled[b * 9 + t];
      for (std::size_t d = 0; d < static_cast<std::size_t>(dense); ++d) sum += inputs[b * 8 + d] * weights[d];
      wanted.push_back(logit + sum);
    }
    EXPECT_TRUE(testing::same_bits(wanted, testing::on_host(logits, stream))) << "seed " << seed;
  });
}

}  // namespace
}  // namespace swallowtail::cuda
