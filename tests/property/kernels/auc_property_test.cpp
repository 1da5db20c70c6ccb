// The sorted AUC against counting every pair: ties, scores of either width, any order of samples and number of threads.
#include <gtest/gtest.h>
#include <omp.h>
#include <rapidcheck.h>

#include <algorithm>
#include <vector>

#include "kernels/auc.h"
#include "kernels/random.h"

namespace swallowtail {
namespace {

std::optional<double> by_pairs(const std::vector<double>& scores, const std::vector<float>& labels) {
  double won = 0, pairs = 0;
  for (std::size_t i = 0; i < scores.size(); ++i)
    for (std::size_t j = 0; j < scores.size(); ++j) {
      if (labels[i] <= 0.5F || labels[j] > 0.5F) continue;
      won += scores[i] > scores[j] ? 1 : scores[i] == scores[j] ? 0.5 : 0;
      pairs += 1;
    }
  return pairs == 0 ? std::nullopt : std::optional(won / pairs);
}

TEST(ExactAuc, CountsEveryPair) {
  EXPECT_TRUE(rc::check([] {
    const auto size = *rc::gen::inRange<std::int64_t>(0, 300);
    const auto levels = *rc::gen::element<std::int64_t>(1, 2, 10, 1000000);
    const auto width = *rc::gen::element(0, 1, 2);  // floats, doubles, doubles that agree in their upper bits
    const auto seed = *rc::gen::arbitrary<std::uint64_t>();
    std::vector<double> scores(size);
    std::vector<float> labels(size);
    for (std::int64_t i = 0; i < size; ++i) {
      const auto level = static_cast<double>(random::below(random::bits(seed, 1, i), levels));
      const double unit = level / static_cast<double>(levels);
      scores[i] = width == 0 ? static_cast<float>(unit) : width == 1 ? unit : 0.5 + unit * 0x1p-40;
      if (scores[i] == 0 && random::bits(seed, 2, i) % 2 == 0) scores[i] = -0.0;
      labels[i] = static_cast<float>(random::bits(seed, 3, i) % 3 == 0);
    }
    const auto wanted = by_pairs(scores, labels), got = exact_auc(scores, labels);
    RC_ASSERT(got.has_value() == wanted.has_value());
    if (got) RC_ASSERT(std::abs(*got - *wanted) <= 1e-13);
  }));
}

TEST(ExactAuc, DependsNeitherOnOrderNorOnThreads) {
  constexpr std::int64_t kSize = 100000;
  for (const bool is_float : {true, false}) {
    std::vector<double> scores(kSize);
    std::vector<float> labels(kSize);
    for (std::int64_t i = 0; i < kSize; ++i) {
      const double score = random::uniform(random::bits(5, 1, i));
      scores[i] = is_float ? static_cast<float>(score) : score;
      labels[i] = static_cast<float>(random::uniform(random::bits(5, 2, i)) < score);
    }
    const auto one = exact_auc(scores, labels);
    ASSERT_TRUE(one);
    EXPECT_NEAR(*one, 5.0 / 6, 0.01);  // of labels drawn with the score as their probability, scores uniform
    omp_set_num_threads(3);
    EXPECT_EQ(exact_auc(scores, labels), one);
    omp_set_num_threads(1);
    std::ranges::reverse(scores);
    std::ranges::reverse(labels);
    EXPECT_EQ(exact_auc(scores, labels), one);
  }
}

TEST(ExactAuc, IsLeftToOthersBelowZero) {
  EXPECT_FALSE(exact_auc(std::vector<double>{-1, 1}, std::vector<float>{0, 1}));
}

}  // namespace
}  // namespace swallowtail
