// Laws of the ranking metrics on random small sets: many ties, one class now and then, with and without weights.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "trainer/evaluation/auc.h"
#include "trainer/evaluation/metrics.h"

namespace swallowtail {
namespace {

struct Set {
  std::vector<double> probabilities;
  std::vector<float> labels, weights;
  Predictions view() const { return {probabilities, labels, weights}; }
};

Set random_set(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Set set;
  const auto size = random() % 40, levels = 2 + random() % 30;
  const bool weighted = random() % 2 == 0;
  for (std::uint64_t i = 0; i < size; ++i) {
    set.probabilities.push_back(static_cast<double>(random() % levels) / static_cast<double>(levels));
    set.labels.push_back(static_cast<float>(random() % 3 == 0));
    if (weighted) set.weights.push_back(static_cast<float>(1 + random() % 1000) / 100);
  }
  return set;
}

constexpr std::uint64_t kSeeds = 500;

TEST(Auc, EqualsTheShareOfRightPairs) {
  int defined = 0;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto set = random_set(seed);
    double won = 0, pairs = 0;
    for (std::size_t i = 0; i < set.labels.size(); ++i)
      for (std::size_t j = 0; j < set.labels.size(); ++j) {
        if (set.labels[i] != 1 || set.labels[j] != 0) continue;
        const double weight = set.weights.empty() ? 1 : double{set.weights[i]} * set.weights[j];
        pairs += weight;
        if (set.probabilities[i] > set.probabilities[j]) won += weight;
        if (set.probabilities[i] == set.probabilities[j]) won += weight / 2;
      }
    const auto value = auc(set.view());
    ASSERT_EQ(value.has_value(), pairs > 0) << "seed " << seed;
    if (value) {
      EXPECT_NEAR(*value, won / pairs, 1e-12) << "seed " << seed;
    }
    defined += value.has_value();
  }
  EXPECT_GT(defined, static_cast<int>(kSeeds / 2));
}

TEST(Auc, FlippingEveryLabelMirrorsIt) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    auto set = random_set(seed);
    const auto value = auc(set.view());
    for (auto& label : set.labels) label = 1 - label;
    if (value) {
      EXPECT_NEAR(*auc(set.view()), 1 - *value, 1e-12) << "seed " << seed;
    }
  }
}

TEST(RankingMetrics, DependOnTheOrderOfScoresAlone) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    auto set = random_set(seed);
    const auto auc_before = auc(set.view()), pr_before = pr_auc(set.view());
    for (auto& p : set.probabilities) p = std::exp(3 * p) / 21;
    EXPECT_EQ(auc(set.view()), auc_before) << "seed " << seed;
    EXPECT_EQ(pr_auc(set.view()), pr_before) << "seed " << seed;
  }
}

TEST(Metrics, DoNotDependOnTheOrderOfSamples) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto set = random_set(seed);
    std::vector<std::size_t> order(set.labels.size());
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937_64(seed));
    Set shuffled;
    for (const auto i : order) {
      shuffled.probabilities.push_back(set.probabilities[i]);
      shuffled.labels.push_back(set.labels[i]);
      if (!set.weights.empty()) shuffled.weights.push_back(set.weights[i]);
    }
    for (const auto& metric : metrics()) {
      const auto a = metric.function(set.view()), b = metric.function(shuffled.view());
      ASSERT_EQ(a.has_value(), b.has_value()) << metric.name << ", seed " << seed;
      if (a) {
        EXPECT_NEAR(*a, *b, 1e-13 * std::max(1.0, std::abs(*a))) << metric.name << ", seed " << seed;
      }
    }
    EXPECT_EQ(auc(set.view()), auc(shuffled.view())) << "seed " << seed;  // bit for bit, weights too
  }
}

TEST(Metrics, AWeightOfTwoIsTheSampleTwice) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    auto set = random_set(seed);
    set.weights.assign(set.labels.size(), 1);
    Set doubled = set;
    for (std::size_t i = 0; i < set.labels.size(); i += 3) {
      set.weights[i] = 2;
      doubled.probabilities.push_back(set.probabilities[i]);
      doubled.labels.push_back(set.labels[i]);
    }
    doubled.weights.clear();
    for (const auto& metric : metrics()) {
      const auto a = metric.function(set.view()), b = metric.function(doubled.view());
      ASSERT_EQ(a.has_value(), b.has_value()) << metric.name << ", seed " << seed;
      if (a) {
        EXPECT_NEAR(*a, *b, 1e-12 * std::max(1.0, std::abs(*a))) << metric.name << ", seed " << seed;
      }
    }
  }
}

}  // namespace
}  // namespace swallowtail
