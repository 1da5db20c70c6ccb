#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/dropout.h"
#include "kernels/random.h"
#include "kernels/weight_average.h"

namespace swallowtail {
namespace {

TEST(Random, IsUniformAndNormal) {
  constexpr int kDraws = 200000;
  double sum = 0, squares = 0, normal_sum = 0, normal_squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double u = random::uniform(random::bits(1, 2, i));
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u;
    squares += u * u;
    const double z = random::normal(random::bits(1, 3, i));
    normal_sum += z;
    normal_squares += z * z;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 5 * std::sqrt(1.0 / 12 / kDraws));
  EXPECT_NEAR(squares / kDraws, 1.0 / 3, 0.005);
  EXPECT_NEAR(normal_sum / kDraws, 0, 5 / std::sqrt(kDraws));
  EXPECT_NEAR(normal_squares / kDraws, 1, 0.02);
}

TEST(Random, EveryPartOfTheKeyMatters) {
  const std::uint64_t base = random::bits(1, 2, 3, 4);
  EXPECT_NE(base, random::bits(2, 2, 3, 4));
  EXPECT_NE(base, random::bits(1, 3, 3, 4));
  EXPECT_NE(base, random::bits(1, 2, 4, 4));
  EXPECT_NE(base, random::bits(1, 2, 3, 5));
  EXPECT_NE(random::bits(1, 2, 3, 4), random::bits(1, 2, 4, 3));
}

TEST(Dropout, DependsOnTheSampleAlone) {
  const DropoutKey key{1, 17, 3};
  std::vector<float> whole(100 * 31), part(40 * 31);
  dropout_mask(key, 0.3, 0, 100, 31, whole.data());
  dropout_mask(key, 0.3, 50, 40, 31, part.data());
  EXPECT_EQ(part, std::vector<float>(whole.begin() + 50 * 31, whole.begin() + 90 * 31));
  std::vector<float> other(100 * 31);
  dropout_mask({1, 18, 3}, 0.3, 0, 100, 31, other.data());
  EXPECT_NE(whole, other);
  dropout_mask({1, 17, 4}, 0.3, 0, 100, 31, other.data());
  EXPECT_NE(whole, other);
}

TEST(Dropout, KeepsTheMean) {
  std::vector<float> mask(1000 * 101);
  dropout_mask({5, 1, 1}, 0.3, 0, 1000, 101, mask.data());
  double sum = 0;
  for (const float m : mask) {
    ASSERT_TRUE(m == 0 || std::abs(m - 1 / 0.7F) < 1e-6F);
    sum += m;
  }
  EXPECT_NEAR(sum / static_cast<double>(mask.size()), 1, 0.01);
}

TEST(Averaging, ProductOfRestedStepsIsTheProductOfDecays) {
  const Averaging averaging(0.97);
  for (const auto& [from, to] : std::vector<std::pair<std::int64_t, std::int64_t>>{
           {0, 1}, {0, 50}, {100, 400}, {290, 301}, {1000, 1010}, {7, 7}}) {
    double product = 1;
    for (std::int64_t step = from + 1; step <= to; ++step) product *= averaging.decay(step);
    EXPECT_NEAR(averaging.product(from, to), product, 1e-12 + 1e-9 * product) << from << " to " << to;
  }
  EXPECT_DOUBLE_EQ(averaging.decay(1), 2.0 / 11);
  EXPECT_DOUBLE_EQ(averaging.decay(100000), 0.97);
}

}  // namespace
}  // namespace swallowtail
