// Every instruction set gives the bits of the scalar body, which gives what the formula says.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <vector>

#include "kernels/interaction.h"
#include "kernels/random.h"
#include "tests/unit/kernels/every_isa.h"

namespace swallowtail {
namespace {

struct Sample {
  InteractionShape shape;
  std::int64_t features;
  std::uint64_t seed;
};

struct Found {
  std::vector<float> out, gradient;
  bool operator==(const Found&) const = default;
};

Found both_ways(const Sample& of) {
  const std::int64_t width = interaction_width(of.features, of.shape), size = of.shape.batch * of.shape.dim;
  std::vector<float> vectors(of.features * size), weights(of.shape.batch * width);
  for (std::size_t i = 0; i < vectors.size(); ++i)
    vectors[i] = static_cast<float>(random::normal(random::bits(of.seed, 1, i)));
  for (std::size_t i = 0; i < weights.size(); ++i)
    weights[i] = static_cast<float>(random::normal(random::bits(of.seed, 2, i)));
  // Guards behind each array: a wide store beyond the end is seen.
  Found found{std::vector<float>(weights.size() + 32, -7), std::vector<float>(vectors.size() + 32, -7)};
  std::vector<const float*> from;
  std::vector<float*> to;
  for (std::int64_t f = 0; f < of.features; ++f) {
    from.push_back(vectors.data() + f * size);
    to.push_back(found.gradient.data() + f * size);
  }
  dot_interaction_forward(of.shape, from, found.out.data());
  dot_interaction_backward(of.shape, from, weights.data(), to);
  for (std::size_t i = 0; i < 32; ++i) {
    RC_ASSERT(found.out[weights.size() + i] == -7);
    RC_ASSERT(found.gradient[vectors.size() + i] == -7);
  }
  return found;
}

TEST(DotInteraction, EveryInstructionSetGivesTheSameBits) {
  EXPECT_TRUE(rc::check([] {
    const auto dim =
        *rc::gen::oneOf(rc::gen::element<std::int64_t>(16, 32, 64, 128), rc::gen::inRange<std::int64_t>(1, 150));
    const auto features = *rc::gen::weightedOneOf<std::int64_t>(
        {{8, rc::gen::inRange<std::int64_t>(1, 45)}, {1, rc::gen::inRange<std::int64_t>(45, 513)}});
    const auto batch = features > 45 ? 2 : *rc::gen::element<std::int64_t>(0, 1, 3, 17, 130);
    const Sample sample{{batch, dim, *rc::gen::arbitrary<bool>(), *rc::gen::arbitrary<bool>()},
                        features,
                        *rc::gen::arbitrary<std::uint64_t>()};
    const Found scalar = under(Isa::scalar, [&] { return both_ways(sample); });
    for (const Isa isa : wide_isas()) RC_ASSERT(under(isa, [&] { return both_ways(sample); }) == scalar);
  }));
}

TEST(DotInteraction, AStrideMovesTheSamplesApartAndChangesNothingElse) {
  for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512}) {
    if (isa > best_isa()) continue;
    under(isa, [] {
      for (const std::int64_t features : {1, 4, 9, 27}) {
        constexpr std::int64_t kBatch = 5, kDim = 16;
        InteractionShape shape{kBatch, kDim, false, true};
        const std::int64_t width = interaction_width(features, shape), stride = width + 9;
        std::vector<float> vectors(static_cast<std::size_t>(features * kBatch * kDim)), gradient(vectors.size());
        for (std::size_t i = 0; i < vectors.size(); ++i)
          vectors[i] = static_cast<float>(random::normal(random::bits(3, 1, i)));
        std::vector<const float*> from;
        std::vector<float*> to;
        for (std::int64_t f = 0; f < features; ++f) {
          from.push_back(vectors.data() + f * kBatch * kDim);
          to.push_back(gradient.data() + f * kBatch * kDim);
        }
        std::vector<float> close(static_cast<std::size_t>(kBatch * width)),
            far(static_cast<std::size_t>(kBatch * stride));
        dot_interaction_forward(shape, from, close.data());
        dot_interaction_backward(shape, from, close.data(), to);
        const std::vector<float> expected = gradient;
        shape.stride = stride;
        dot_interaction_forward(shape, from, far.data());
        for (std::int64_t sample = 0; sample < kBatch; ++sample)
          for (std::int64_t i = 0; i < width; ++i)
            ASSERT_EQ(far[sample * stride + i], close[sample * width + i]) << sample << " " << i;
        dot_interaction_backward(shape, from, far.data(), to);
        EXPECT_EQ(gradient, expected);
      }
    });
  }
}

}  // namespace
}  // namespace swallowtail
