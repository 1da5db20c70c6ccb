// Ranked lists and their metrics: by hand, against an independent scorer, and as laws on random lists.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "parallel/error.h"
#include "trainer/evaluation/ranked_lists.h"

namespace swallowtail {
namespace {

using Items = std::vector<std::int64_t>;
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

TEST(TopK, OrdersByScoreThenItem) {
  const std::vector<float> scores{1, 3, 3, kMinusInfinity, 2, 3, -5};
  EXPECT_EQ(top_k(scores, 4), (Items{1, 2, 5, 4}));
  EXPECT_EQ(top_k(scores, 100), (Items{1, 2, 5, 4, 0, 6}));  // what is forbidden never enters
  EXPECT_EQ(top_k(scores, 0), Items{});
  EXPECT_EQ(top_k(std::vector<float>{}, 3), Items{});
  EXPECT_EQ(top_k(scores, Items{6, 5, 3, 0}, 3), (Items{5, 0, 6}));
}

TEST(TopK, ANanIsAnError) {
  const std::vector<float> scores{1, std::numeric_limits<float>::quiet_NaN()};
  try {
    top_k(scores, 1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::numbers);
  }
}

TEST(TopK, IsAPrefixOfTheWholeOrder) {
  EXPECT_TRUE(rc::check([] {
    // Few distinct scores, so that ties are the rule.
    const auto drawn = *rc::gen::container<std::vector<int>>(rc::gen::inRange(-3, 3));
    const std::vector<float> scores(drawn.begin(), drawn.end());
    Items order(scores.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return scores[a] > scores[b]; });
    const auto k = *rc::gen::inRange<std::size_t>(0, scores.size() + 3);
    order.resize(std::min(k, order.size()));
    RC_ASSERT(top_k(scores, static_cast<std::int64_t>(k)) == order);
  }));
}

TEST(UserMetrics, ByHand) {
  const Items list{0, 10, 1, 11, 12, 2, 13, 14, 15, 16};  // hits at 1, 3 and 6
  const Items relevant{0, 1, 2, 3};
  const UserMetrics at10 = user_metrics(list, relevant, 10);
  EXPECT_NEAR(at10.ndcg, 0.7246263, 5e-8);
  EXPECT_NEAR(at10.map, 0.5416667, 5e-8);
  EXPECT_EQ(at10.recall, 0.75);
  EXPECT_NEAR(at10.f1, 0.4285714, 5e-8);
  EXPECT_EQ(at10.precision, 0.3);
  EXPECT_EQ(at10.mrr, 1);
  EXPECT_NEAR(user_metrics(list, relevant, 5).ndcg, 0.5855701, 5e-8);
  // A short list is divided by K all the same.
  EXPECT_EQ(user_metrics(Items{0}, relevant, 10).precision, 0.1);
  EXPECT_EQ(user_metrics(Items{}, relevant, 10).ndcg, 0);
}

TEST(UserMetrics, OneRelevantItem) {
  const std::map<int, double> gains{{1, 1}, {2, 0.6309298}, {3, 0.5}, {10, 0.2890648}};
  for (const auto& [rank, gain] : gains) {
    Items list(10);
    std::iota(list.begin(), list.end(), 100);
    list[static_cast<std::size_t>(rank - 1)] = 7;
    const UserMetrics user = user_metrics(list, Items{7}, 10);
    EXPECT_NEAR(user.ndcg, gain, 5e-8) << rank;
    EXPECT_EQ(user.hit_rate, user.recall);
    EXPECT_EQ(user.map, user.mrr);
    EXPECT_EQ(user.mrr, 1.0 / rank);
  }
}

/// Rows of any length as one borrowed structure.
struct Rows {
  Items offsets{0}, items;
  explicit Rows(const std::vector<Items>& rows) {
    for (const Items& row : rows) {
      items.insert(items.end(), row.begin(), row.end());
      offsets.push_back(static_cast<std::int64_t>(items.size()));
    }
  }
  ItemBags view() const { return {offsets, items}; }
};

RankedLists lists_of(const std::vector<Items>& rows, std::int64_t k) {
  RankedLists lists{k, Items(rows.size() * static_cast<std::size_t>(k), -1)};
  for (std::size_t row = 0; row < rows.size(); ++row)
    std::copy_n(rows[row].begin(), std::min(rows[row].size(), static_cast<std::size_t>(k)),
                lists.items.begin() + static_cast<std::ptrdiff_t>(row) * k);
  return lists;
}

TEST(RankingMetrics, EqualTheIndependentScorer) {
  std::ifstream file(SWALLOWTAIL_SOURCE_DIR "/tests/golden/ranking.json");
  const auto cases = nlohmann::json::parse(file);
  ASSERT_EQ(cases.size(), 3U);
  for (const auto& one : cases) {
    const Rows relevant(one["relevant"].get<std::vector<Items>>()),
        properties(one["properties"].get<std::vector<Items>>());
    const auto counts = one["counts"].get<Items>();
    const RankingTruth truth{relevant.view(), counts, one["train_users"].get<std::int64_t>(), properties.view()};
    std::vector<std::string> names;
    for (const auto& [name, value] : one["expected"].items()) names.push_back(name);
    ASSERT_EQ(names.size(), 33U);
    for (const auto& [name, value] :
         measure_rankings(lists_of(one["lists"].get<std::vector<Items>>(), 12), truth, names)) {
      if (one["expected"][name].is_null())
        EXPECT_FALSE(value.has_value()) << name;
      else
        EXPECT_NEAR(value.value(), one["expected"][name].get<double>(), 1e-12) << name;
    }
  }
}

TEST(RankingMetrics, GiniByHand) {
  // Items are recommended 0, 1, 1, 2 and 6 times.
  const std::vector<Items> rows{{1, 2}, {3, 4}, {3, 4}, {4}, {4}, {4}, {4}};
  const Rows relevant(std::vector<Items>(rows.size(), Items{0}));
  const Items counts(5, 1);
  const auto values = measure_rankings(lists_of(rows, 2), {relevant.view(), counts, 3, {}},
                                       std::vector<std::string>{"gini@2", "coverage@2", "diversity@2", "novelty@2"});
  EXPECT_DOUBLE_EQ(*values[0].second, 0.52);
  EXPECT_DOUBLE_EQ(*values[1].second, 0.8);
  EXPECT_FALSE(values[2].second.has_value());  // nothing is known of the items
  EXPECT_DOUBLE_EQ(*values[3].second, 1);      // all of them -log2(2 / 4)
}

TEST(RankingMetrics, UsersWithoutRelevantItemsDoNotCount) {
  const std::vector<Items> rows{{0, 1}, {1, 0}, {2, 1}};
  const Rows relevant({{0}, {}, {1, 1}});  // twice the same is one
  const Items counts(3, 0);
  const RankingTruth truth{relevant.view(), counts, 0, {}};
  const std::vector<std::string> names{"recall@1", "recall@2", "ndcg@2"};
  const auto values = measure_rankings(lists_of(rows, 2), truth, names);
  EXPECT_DOUBLE_EQ(*values[0].second, 0.5);
  EXPECT_DOUBLE_EQ(*values[1].second, 1);
  const Items second{2}, none{1};
  EXPECT_DOUBLE_EQ(*measure_rankings(lists_of(rows, 2), truth, names, &second)[2].second, 1 / std::log2(3.0));
  EXPECT_FALSE(measure_rankings(lists_of(rows, 2), truth, names, &none)[0].second.has_value());
}

/// Distinct numbers below n, in a drawn order.
Items some_below(std::int64_t n) {
  Items numbers;
  for (const std::int64_t number : *rc::gen::container<Items>(rc::gen::inRange<std::int64_t>(0, n)))
    if (std::ranges::find(numbers, number) == numbers.end()) numbers.push_back(number);
  return numbers;
}

TEST(RankingMetrics, EveryMetricIsWithinItsBounds) {
  EXPECT_TRUE(rc::check([] {
    const auto users = *rc::gen::inRange<std::size_t>(1, 9);
    const auto items = *rc::gen::inRange<std::int64_t>(2, 30);
    const auto k = *rc::gen::inRange<std::int64_t>(1, 12);
    std::vector<Items> rows(users), wanted(users), properties(static_cast<std::size_t>(items));
    for (auto& row : rows) row = some_below(items);
    for (auto& row : wanted) row = *rc::gen::container<Items>(rc::gen::inRange<std::int64_t>(0, items));
    for (auto& row : properties) row = some_below(4);
    const Rows relevant(wanted), kinds(properties);
    const auto counts =
        *rc::gen::container<Items>(static_cast<std::size_t>(items), rc::gen::inRange<std::int64_t>(0, 50));
    std::vector<std::string> names;
    for (const auto name : ranking_metrics()) names.push_back(std::string(name) + "@" + std::to_string(k));
    for (const auto& [name, value] :
         measure_rankings(lists_of(rows, k), {relevant.view(), counts, 50, kinds.view()}, names)) {
      if (!value) continue;
      RC_ASSERT(*value >= 0);
      RC_ASSERT(name.starts_with("novelty") || *value <= 1 + 1e-12);
    }
  }));
}

TEST(RankingMetrics, NamesExpandOverK) {
  const std::vector<std::string> names{"ndcg", "recall@3"};
  const Items ks{5, 10};
  EXPECT_EQ(expand_ranking_metrics(names, ks), (std::vector<std::string>{"ndcg@5", "ndcg@10", "recall@3"}));
  for (const char* wrong : {"ndgc", "ndcg@", "ndcg@0", "ndcg@x", "auc"})
    EXPECT_THROW(expand_ranking_metrics(std::vector<std::string>{wrong}, ks), Error) << wrong;
}

}  // namespace
}  // namespace swallowtail
