// Alias tables, negatives and losses: the checks of SAP.md section 4.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "kernels/random.h"
#include "parallel/error.h"
#include "trainer/ranking/negative_sampler.h"
#include "trainer/ranking/ranking_loss.h"

namespace swallowtail {
namespace {

constexpr std::int64_t kDraws = 1'000'000;

/// Chance of a chi-squared value at least as large, by the Wilson-Hilferty cube root.
double chi_squared_tail(double value, double degrees) {
  const double z = (std::cbrt(value / degrees) - (1 - 2 / (9 * degrees))) / std::sqrt(2 / (9 * degrees));
  return 0.5 * std::erfc(z / std::sqrt(2.0));
}

TEST(AliasTable, DrawsInProportion) {
  std::vector<double> weights;
  for (int i = 0; i < 200; ++i) weights.push_back(i % 10 == 3 ? 0 : std::pow(1.0 + i, 0.75));
  const AliasTable table(weights);
  double sum = 0;
  for (std::int64_t i = 0; i < table.size(); ++i) sum += table.probability(i);
  EXPECT_NEAR(sum, 1, 1e-12);
  std::vector<std::int64_t> counts(weights.size(), 0);
  for (std::int64_t d = 0; d < kDraws; ++d)
    ++counts[table.draw(random::bits(7, random::purpose("test"), static_cast<std::uint64_t>(d)))];
  double chi_squared = 0;
  int degrees = -1;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0) {
      EXPECT_EQ(counts[i], 0) << i;
      continue;
    }
    const double expected = table.probability(static_cast<std::int64_t>(i)) * kDraws;
    chi_squared += (static_cast<double>(counts[i]) - expected) * (static_cast<double>(counts[i]) - expected) / expected;
    ++degrees;
  }
  EXPECT_GT(chi_squared_tail(chi_squared, degrees), 1e-4);
}

TEST(AliasTable, NeverDrawsWhatWeighsNothingWhateverTheWeights) {
  EXPECT_TRUE(rc::check([] {
    auto drawn = *rc::gen::nonEmpty(rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 4)));
    drawn.push_back(1);
    const std::vector<double> weights(drawn.begin(), drawn.end());
    const AliasTable table(weights);
    for (std::uint64_t d = 0; d < 300; ++d) RC_ASSERT(weights[table.draw(random::mix(d))] > 0);
    for (const std::uint64_t bits : {std::uint64_t{0}, ~std::uint64_t{0}}) RC_ASSERT(weights[table.draw(bits)] > 0);
  }));
}

TEST(AliasTable, RefusesWeightsThatAreNone) {
  for (const auto& weights :
       {std::vector<double>{}, std::vector<double>{0, 0}, std::vector<double>{1, -1},
        std::vector<double>{1, std::nan("")}, std::vector<double>{std::numeric_limits<double>::infinity()}})
    EXPECT_THROW(AliasTable{weights}, Error);
}

/// User u has items u, u + 1, …, u + sizes[u] - 1, the last one twice.
Histories histories(const std::vector<std::int64_t>& sizes, std::int64_t items) {
  Histories train;
  for (std::size_t user = 0; user < sizes.size(); ++user) {
    for (std::int64_t i = sizes[user]; i-- > 0;) train.items.push_back((static_cast<std::int64_t>(user) + i) % items);
    train.offsets.push_back(train.size());
  }
  train.ratings.assign(train.items.size(), 1);
  train.times.assign(train.items.size(), 0);
  return train;
}

TEST(NegativeSampler, NeverDrawsAPositiveAndSaysWhereThereIsNone) {
  const std::int64_t items = 40;
  const Histories train = histories({0, 1, 20, 39, 40}, items);
  for (const double alpha : {0.0, 0.75}) {
    const NegativeSampler sampler(train, items, alpha, 3);
    for (std::int64_t user = 0; user < 5; ++user) {
      std::set<std::int64_t> seen;
      for (std::int64_t sample = 0; sample < 500; ++sample) {
        const std::int64_t item = sampler.draw(user, 1, sample, 0);
        if (user == 4) {
          ASSERT_EQ(item, kColdId);
          seen.insert(item);
          continue;
        }
        ASSERT_GE(item, 0);
        ASSERT_LT(item, items);
        ASSERT_FALSE(sampler.is_positive(user, item)) << user;
        seen.insert(item);
      }
      EXPECT_GT(seen.size(), user < 3 ? 15U : 0U) << user;
    }
  }
}

TEST(NegativeSampler, DrawsAreFunctionsOfTheirKey) {
  const Histories train = histories({3, 5}, 1000);
  const NegativeSampler a(train, 1000, 0, 3), b(train, 1000, 0, 3), other(train, 1000, 0, 4);
  std::int64_t equal = 0, equal_to_other = 0;
  std::set<std::int64_t> distinct;
  for (std::int64_t sample = 0; sample < 200; ++sample)
    for (std::int64_t k = 0; k < 4; ++k) {
      equal += a.draw(1, 9, sample, k) == b.draw(1, 9, sample, k);
      equal_to_other += a.draw(1, 9, sample, k) == other.draw(1, 9, sample, k);
      distinct.insert(a.draw(1, 9, sample, k));
      distinct.insert(a.draw(1, 10, sample, k));
    }
  EXPECT_EQ(equal, 800);
  EXPECT_LT(equal_to_other, 20);
  EXPECT_GT(distinct.size(), 700U);  // 1,600 draws of 1,000: about 798
}

TEST(NegativeSampler, FollowsPopularity) {
  // Item i is in the training of i + 1 users.
  const std::int64_t items = 30;
  Histories train;
  for (std::int64_t user = 0; user < items; ++user) {
    for (std::int64_t item = user; item < items; ++item) train.items.push_back(item);
    train.offsets.push_back(train.size());
  }
  train.offsets.push_back(train.size());  // a user without interactions: nothing is thrown away
  const double alpha = 0.75;
  const NegativeSampler sampler(train, items, alpha, 1);
  std::vector<std::int64_t> counts(static_cast<std::size_t>(items), 0);
  for (std::int64_t d = 0; d < kDraws; ++d) ++counts[sampler.draw(items, d / 1000, d % 1000, 0)];
  double chi_squared = 0, sum = 0;
  for (std::int64_t i = 0; i < items; ++i) {
    const double expected = std::exp(sampler.log_probability(i)) * kDraws;
    EXPECT_NEAR(sampler.log_probability(i) - sampler.log_probability(0), alpha * std::log(i + 1.0), 1e-9);
    sum += expected;
    chi_squared += std::pow(static_cast<double>(counts[i]) - expected, 2) / expected;
  }
  EXPECT_NEAR(sum, kDraws, 1e-6);
  EXPECT_GT(chi_squared_tail(chi_squared, static_cast<double>(items - 1)), 1e-4);
}

TEST(NegativeSampler, FrequenciesOfInBatchNegatives) {
  const auto logs = log_frequency(histories({2, 2}, 4), 4);  // items 0, 1 and 1, 2
  EXPECT_NEAR(logs[1], std::log(0.5), 1e-6);
  EXPECT_NEAR(logs[0], std::log(0.25), 1e-6);
  EXPECT_NEAR(logs[3], std::log(0.125), 1e-6);
}

TEST(RankingLoss, GoldenValues) {
  double slope = 0;
  const std::pair<double, double> bpr[] = {
      {0, 0.6931472}, {1, 0.3132617}, {-2, 2.1269280}, {30, 9.3576e-14}, {-40, 40}};
  for (const auto& [x, loss] : bpr) {
    EXPECT_NEAR(bpr_loss(x, slope), loss, 5e-8 * std::max(1.0, loss)) << x;
    EXPECT_NEAR(slope, -1 / (1 + std::exp(x)), 1e-12);
  }
  EXPECT_NEAR(bpr_loss(30, slope) / 9.3576e-14, 1, 1e-4);
  const std::tuple<double, double, double> bce[] = {
      {0, 1, 0.6931472}, {1, 0, 1.3132617}, {-2, 1, 2.1269280}, {30, 0, 30}, {-40, 1, 40}};
  for (const auto& [s, y, loss] : bce) {
    EXPECT_NEAR(bce_loss(s, y, slope), loss, 5e-8 * std::max(1.0, loss)) << s;
    EXPECT_NEAR(slope, 1 / (1 + std::exp(-s)) - y, 1e-12);
  }
}

TEST(RankingLoss, SampledSoftmaxGolden) {
  const std::vector<double> scores{2, 1, 0.5}, log_q{std::log(0.5), std::log(0.3), std::log(0.2)};
  std::vector<double> gradient(3);
  EXPECT_NEAR(sampled_softmax_loss(scores, log_q, 4, gradient), 0.7751685, 5e-8);
  EXPECT_NEAR(std::accumulate(gradient.begin(), gradient.end(), 0.0), 0, 1e-12);
  for (std::size_t i = 0; i < 3; ++i) {
    auto up = scores, down = scores;
    up[i] += 1e-6;
    down[i] -= 1e-6;
    const double slope = (sampled_softmax_loss(up, log_q, 4, {}) - sampled_softmax_loss(down, log_q, 4, {})) / 2e-6;
    EXPECT_NEAR(gradient[i], slope, 1e-8) << i;
  }
  // An accidental hit is as if it had not been drawn.
  std::vector<double> with_hit{2, 1, 0.5, 7}, log_q_hit = log_q;
  log_q_hit.push_back(-std::numeric_limits<double>::infinity());
  EXPECT_DOUBLE_EQ(sampled_softmax_loss(with_hit, log_q_hit, 4, {}), sampled_softmax_loss(scores, log_q, 4, {}));
}

TEST(RankingLoss, SampledSoftmaxIsTheFullOneInExpectation) {
  // Classes 0 … 5, the positive is 0; m negatives by popularity. The mean gradient of the scores is the full one's.
  const std::vector<double> scores{0.3, -0.5, 1.2, 0.1, -1, 0.8}, weights{3, 1, 4, 2, 2, 5};
  const AliasTable table(weights);
  const std::int64_t m = 512, repeats = 2000;
  double full_sum = 0;
  for (const double s : scores) full_sum += std::exp(s);
  std::vector<double> mean(6, 0), squares(6, 0);
  for (std::int64_t r = 0; r < repeats; ++r) {
    std::vector<double> drawn{scores[0]}, log_q{std::log(table.probability(0))}, gradient(m + 1), by_class(6, 0);
    std::vector<std::int64_t> classes{0};
    for (std::int64_t k = 0; k < m; ++k) {
      const std::int64_t c =
          table.draw(random::bits(5, 6, static_cast<std::uint64_t>(r), static_cast<std::uint64_t>(k)));
      classes.push_back(c);
      drawn.push_back(scores[c]);
      log_q.push_back(std::log(table.probability(c)));
    }
    // Without accidental hits taken out the positive counts once too often: a bias of 1 / m that the bound allows.
    sampled_softmax_loss(drawn, log_q, m, gradient);
    for (std::size_t i = 0; i < classes.size(); ++i) by_class[classes[i]] += gradient[i];
    for (std::size_t c = 0; c < 6; ++c) {
      mean[c] += by_class[c] / static_cast<double>(repeats);
      squares[c] += by_class[c] * by_class[c] / static_cast<double>(repeats);
    }
  }
  for (std::size_t c = 0; c < 6; ++c) {
    const double full = std::exp(scores[c]) / full_sum - (c == 0 ? 1 : 0);
    const double error = std::sqrt((squares[c] - mean[c] * mean[c]) / static_cast<double>(repeats));
    EXPECT_NEAR(mean[c], full, 3 * error + 2.0 / m) << c;
  }
}

}  // namespace
}  // namespace swallowtail
