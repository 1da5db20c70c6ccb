#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <utility>
#include <vector>

#include "kernels/random.h"
#include "kernels/softmax_rows.h"
#include "tests/unit/kernels/every_isa.h"

namespace swallowtail {
namespace {

TEST(SoftmaxRows, HaveTheSameBitsOnEveryIsaAndAreRight) {
  EXPECT_TRUE(rc::check([] {
    const auto rows = *rc::gen::inRange<std::int64_t>(0, 9), width = *rc::gen::inRange<std::int64_t>(1, 200);
    const auto seed = *rc::gen::arbitrary<std::uint64_t>();
    const auto scale = *rc::gen::element(0.1, 1.0, 10.0, 100.0);
    std::vector<float> logits;
    std::vector<std::int64_t> targets;
    for (std::int64_t i = 0; i < rows * width; ++i)
      logits.push_back(
          static_cast<float>(scale * random::normal(random::bits(seed, 1, static_cast<std::uint64_t>(i)))));
    for (std::int64_t r = 0; r < rows; ++r)
      targets.push_back(random::below(random::bits(seed, 2, static_cast<std::uint64_t>(r)), width));
    const auto made = [&] {
      std::vector<float> gradients = logits, losses(static_cast<std::size_t>(rows), -1.0F);
      softmax_cross_entropy(rows, width, targets.data(), gradients.data(), losses.data());
      return std::pair(gradients, losses);
    };
    const auto scalar = under(Isa::scalar, made);
    for (const Isa isa : wide_isas()) RC_ASSERT(under(isa, made) == scalar);

    std::vector<double> wanted(logits.begin(), logits.end()), losses(static_cast<std::size_t>(rows));
    softmax_cross_entropy(rows, width, targets.data(), wanted.data(), losses.data());
    for (std::int64_t i = 0; i < rows * width; ++i) RC_ASSERT(std::abs(scalar.first[i] - wanted[i]) < 2e-6);
    for (std::int64_t r = 0; r < rows; ++r)
      RC_ASSERT(std::abs(scalar.second[r] - losses[r]) < 2e-6 * (1 + std::abs(losses[r])));
  }));
}

TEST(SoftmaxRows, ByHand) {
  // e^0, e^ln 2, e^ln 5 over 8.
  std::vector<double> logits{0, std::log(2.0), std::log(5.0)};
  const std::int64_t target = 1;
  double loss = 0;
  softmax_cross_entropy(1, 3, &target, logits.data(), &loss);
  EXPECT_NEAR(loss, std::log(4.0), 1e-15);
  EXPECT_NEAR(logits[0], 0.125, 1e-15);
  EXPECT_NEAR(logits[1], 0.25 - 1, 1e-15);
  EXPECT_NEAR(logits[2], 0.625, 1e-15);
}

}  // namespace
}  // namespace swallowtail
