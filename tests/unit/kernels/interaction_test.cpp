#include "kernels/interaction.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/random.h"

namespace swallowtail {
namespace {

TEST(DotInteraction, OrdersPairsRowByRow) {
  // Three vectors of one sample, dim 2; the products are told apart by their digits.
  const std::vector<float> a{1, 0}, b{2, 3}, c{5, 7};
  const std::vector<const float*> vectors{a.data(), b.data(), c.data()};
  std::vector<float> out(5);
  dot_interaction_forward({1, 2, false, true}, vectors, out.data());
  EXPECT_EQ(out, (std::vector<float>{1, 0, 2, 5, 31}));  // [a | b·a, c·a, c·b]
  out.resize(8);
  dot_interaction_forward({1, 2, true, true}, vectors, out.data());
  EXPECT_EQ(out, (std::vector<float>{1, 0, 1, 2, 13, 5, 31, 74}));  // [a | aa, ba, bb, ca, cb, cc]
  out.resize(3);
  dot_interaction_forward({1, 2, false, false}, vectors, out.data());
  EXPECT_EQ(out, (std::vector<float>{2, 5, 31}));
}

TEST(DotInteraction, WidthOfCriteoKaggle) { EXPECT_EQ(interaction_width(27, {1, 16, false, true}), 367); }

/// Backward against central differences of the forward in fp64-like accuracy: the forward is quadratic, so a difference
/// of any size is exact up to rounding.
TEST(DotInteraction, BackwardIsTheGradient) {
  for (const bool itself : {false, true})
    for (const bool concatenate : {false, true})
      for (const std::int64_t features : {1, 2, 3, 7})
        for (const std::int64_t dim : {1, 3, 8, 16, 21}) {
          const InteractionShape shape{3, dim, itself, concatenate};
          const std::int64_t width = interaction_width(features, shape);
          if (width == 0) continue;
          std::vector<std::vector<float>> vectors(features, std::vector<float>(shape.batch * dim)), gradients = vectors;
          std::vector<float> weights(shape.batch * width);
          std::uint64_t draw = 0;
          for (auto& vector : vectors)
            for (float& x : vector) x = static_cast<float>(random::normal(random::bits(7, 1, draw++)));
          for (float& w : weights) w = static_cast<float>(random::normal(random::bits(7, 2, draw++)));
          const auto loss = [&] {
            std::vector<const float*> pointers;
            for (const auto& vector : vectors) pointers.push_back(vector.data());
            std::vector<float> out(shape.batch * width);
            dot_interaction_forward(shape, pointers, out.data());
            double sum = 0;
            for (std::size_t i = 0; i < out.size(); ++i) sum += static_cast<double>(out[i]) * weights[i];
            return sum;
          };
          std::vector<const float*> pointers;
          std::vector<float*> targets;
          for (std::int64_t f = 0; f < features; ++f) {
            pointers.push_back(vectors[f].data());
            targets.push_back(gradients[f].data());
          }
          dot_interaction_backward(shape, pointers, weights.data(), targets);
          for (int probe = 0; probe < 20; ++probe) {
            const std::int64_t f = random::below(random::bits(7, 3, probe), features);
            const std::int64_t at = random::below(random::bits(7, 4, probe), shape.batch * dim);
            const float before = vectors[f][at];
            vectors[f][at] = before + 0.5F;
            const double above = loss();
            vectors[f][at] = before - 0.5F;
            const double below = loss();
            vectors[f][at] = before;
            EXPECT_NEAR(gradients[f][at], above - below, 2e-4) << features << " features, dim " << dim;
          }
        }
}

TEST(DotInteraction, ASampleDoesNotDependOnItsNeighbours) {
  constexpr std::int64_t kBatch = 300, kDim = 24;  // above the size where threads share the work
  std::vector<std::vector<float>> vectors(4, std::vector<float>(kBatch * kDim));
  for (std::size_t f = 0; f < vectors.size(); ++f)
    for (std::size_t i = 0; i < vectors[f].size(); ++i)
      vectors[f][i] = static_cast<float>(random::normal(random::bits(9, f, i)));
  std::vector<const float*> all, one;
  for (const auto& vector : vectors) {
    all.push_back(vector.data());
    one.push_back(vector.data() + 123 * kDim);
  }
  const std::int64_t width = interaction_width(4, {1, kDim, false, true});
  std::vector<float> out(kBatch * width), alone(width);
  dot_interaction_forward({kBatch, kDim, false, true}, all, out.data());
  dot_interaction_forward({1, kDim, false, true}, one, alone.data());
  EXPECT_EQ(alone, std::vector<float>(out.begin() + 123 * width, out.begin() + 124 * width));
}

}  // namespace
}  // namespace swallowtail
