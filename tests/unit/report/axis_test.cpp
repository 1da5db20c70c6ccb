#include "trainer/report/axis.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace swallowtail {
namespace {

using Labels = std::vector<std::string>;

TEST(Axis, TicksAreRound) {
  EXPECT_EQ(make_axis(0, 1, 5, 0).labels, (Labels{"0", "0.2", "0.4", "0.6", "0.8", "1.0"}));
  EXPECT_EQ(make_axis(0.912, 0.9247, 5, 0).labels, (Labels{"0.915", "0.920"}));
  EXPECT_EQ(make_axis(0, 1000, 6, 0).labels, (Labels{"0", "200", "400", "600", "800", "1000"}));
  EXPECT_EQ(make_axis(0, 50000, 5, 0).labels, (Labels{"0", "10k", "20k", "30k", "40k", "50k"}));
  EXPECT_EQ(make_axis(0, 3e6, 3, 0).labels, (Labels{"0", "1M", "2M", "3M"}));
  EXPECT_EQ(make_axis(0, 4e-5, 4, 0).labels, (Labels{"0", "1e-5", "2e-5", "3e-5", "4e-5"}));
  EXPECT_EQ(make_axis(-1, 1, 4, 0).labels, (Labels{"-1.0", "-0.5", "0", "0.5", "1.0"}));
}

TEST(Axis, AConstantGetsRoom) {
  for (const double value : {0.0, 0.5, -3.0, 1e-12, 1e12, 0.6931471805599453}) {
    const auto axis = make_axis(value, value, 5, 0.05);
    EXPECT_LT(axis.low, value);
    EXPECT_GT(axis.high, value);
    EXPECT_GE(axis.ticks.size(), 2U) << value;
  }
}

TEST(Axis, TicksRiseInsideAndHaveDifferentLabels) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> exponent(-12, 12), part(-1, 1);
  for (int trial = 0; trial < 2000; ++trial) {
    const double a = part(random) * std::pow(10, exponent(random)),
                 b = a + std::abs(part(random)) * std::pow(10, exponent(random));
    const auto axis = make_axis(a, b, 5, 0.05);
    ASSERT_LT(axis.low, axis.high) << a << ' ' << b;
    ASSERT_LE(axis.ticks.size(), 8U) << a << ' ' << b;
    ASSERT_EQ(axis.ticks.size(), axis.labels.size());
    for (std::size_t i = 0; i < axis.ticks.size(); ++i) {
      ASSERT_GE(axis.ticks[i], axis.low);
      ASSERT_LE(axis.ticks[i], axis.high);
      if (i == 0) continue;
      ASSERT_LT(axis.ticks[i - 1], axis.ticks[i]);
      ASSERT_NE(axis.labels[i - 1], axis.labels[i]) << a << ' ' << b;
    }
  }
}

}  // namespace
}  // namespace swallowtail
