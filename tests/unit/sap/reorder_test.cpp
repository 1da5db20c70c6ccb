#include "trainer/sap/reorder.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

namespace swallowtail {
namespace {

using Items = std::vector<std::int64_t>;

/// A catalogue of items with categories, and the candidates of one user.
struct Case {
  Items offsets{0}, categories, items;
  std::vector<float> relevance, novelty;
  ReorderInput input() const {
    ReorderInput all;
    all.items = items;
    all.relevance = relevance;
    all.novelty = novelty;
    all.likeness = {offsets, categories, {}};
    all.categories = {offsets, categories};
    return all;
  }
  std::span<const std::int64_t> of(std::int64_t item) const { return ItemBags{offsets, categories}.of(item); }
  Items chosen(const Reordered& result) const {
    Items list;
    for (const std::int64_t place : result.places) list.push_back(items[place]);
    return list;
  }
};

Case made(const std::vector<Items>& categories, const std::vector<float>& relevance) {
  Case test;
  for (std::size_t item = 0; item < categories.size(); ++item) {
    test.categories.insert(test.categories.end(), categories[item].begin(), categories[item].end());
    test.offsets.push_back(static_cast<std::int64_t>(test.categories.size()));
    test.items.push_back(static_cast<std::int64_t>(item));
  }
  test.relevance = relevance;
  test.novelty.assign(categories.size(), 0.0F);
  return test;
}

Case drawn() {
  const auto count = *rc::gen::inRange<std::size_t>(1, 16);
  std::vector<Items> categories;
  std::vector<float> relevance;
  for (std::size_t item = 0; item < count; ++item) {
    const auto bits = *rc::gen::inRange(0, 16);
    auto& bag = categories.emplace_back();
    for (std::int64_t category = 0; category < 4; ++category)
      if ((bits >> category & 1) != 0) bag.push_back(category);
    relevance.push_back(static_cast<float>(*rc::gen::inRange(0, 6)));
  }
  return made(categories, relevance);
}

TEST(Reorder, WithoutWeightsTheOrderIsThatOfRelevance) {
  EXPECT_TRUE(rc::check([] {
    const Case test = drawn();
    Items wanted(test.items.size());
    std::iota(wanted.begin(), wanted.end(), std::int64_t{0});
    std::ranges::stable_sort(wanted, std::greater<>(), [&](std::int64_t i) { return test.relevance[i]; });
    for (const auto method : {ReorderMethod::mmr, ReorderMethod::xquad}) {
      const auto result = reorder(test.input(), {.method = method, .length = 100}, {});
      RC_ASSERT(test.chosen(result) == wanted);
      RC_ASSERT(result.relaxed.empty());
      RC_ASSERT(!result.is_short);
    }
  }));
}

TEST(Reorder, LambdaOneIsFarthestFirst) {
  const Case test = made({{0}, {0}, {0, 1}, {1}}, {4, 3, 2, 1});
  // Item 0 is the most relevant; 3 shares nothing with it; 2 is half like both (cosine 0.707), 1 equals 0.
  EXPECT_EQ(test.chosen(reorder(test.input(), {.lambda = 1, .length = 4}, {})), (Items{0, 3, 2, 1}));
}

TEST(Reorder, MmrByHand) {
  const Case test = made({{0}, {0}, {1}}, {1, 0.9F, 0.5F});
  // After 0: item 1 is worth 0.5 * 0.8 - 0.5 = -0.1, item 2 0.5 * 0 - 0 = 0.
  EXPECT_EQ(test.chosen(reorder(test.input(), {.lambda = 0.5, .length = 3}, {})), (Items{0, 2, 1}));
  // At 0.2: 0.8 * 0.8 - 0.2 = 0.44 against 0.
  EXPECT_EQ(test.chosen(reorder(test.input(), {.lambda = 0.2, .length = 3}, {})), (Items{0, 1, 2}));
}

TEST(Reorder, NoveltyPays) {
  Case test = made({{0}, {1}, {2}}, {1, 0.5F, 0});
  test.novelty = {0, 0.2F, 1};
  EXPECT_EQ(test.chosen(reorder(test.input(), {.nu = 0.4, .length = 3}, {})), (Items{0, 1, 2}));
  EXPECT_EQ(test.chosen(reorder(test.input(), {.nu = 2, .length = 3}, {})), (Items{2, 0, 1}));
  const Items counts{0, 1, 7};
  const auto novelty = novelty_of(counts, 7);
  EXPECT_FLOAT_EQ(novelty[0], 1);
  EXPECT_FLOAT_EQ(novelty[1], 2.0F / 3);
  EXPECT_EQ(novelty[2], 0);
}

TEST(Reorder, XquadServesTheInterestThatIsUnmet) {
  const Case test = made({{0}, {0}, {1}}, {1, 0.9F, 0.2F});
  ReorderInput input = test.input();
  // Scaled relevance 1, 0.875, 0. Item 2 has no relevance at all, so its category cannot be served by it.
  EXPECT_EQ(test.chosen(reorder(input, {.method = ReorderMethod::xquad, .lambda = 0.9, .length = 2}, {})),
            (Items{0, 1}));
  const Case better = made({{0}, {0}, {1}, {}}, {1, 0.9F, 0.8F, 0});
  input = better.input();
  // After 0, category 0 is half met: 1 is worth 0.1 * 0.9 + 0.9 * 0.5 * 0.45 * 0.5 = 0.191, 2 0.08 + 0.9 * 0.5 * 0.4.
  EXPECT_EQ(better.chosen(reorder(input, {.method = ReorderMethod::xquad, .lambda = 0.9, .length = 2}, {})),
            (Items{0, 2}));
  const std::vector<float> interest{0.95F, 0.05F};  // somebody who wants category 0 alone
  input.interest = interest;
  EXPECT_EQ(better.chosen(reorder(input, {.method = ReorderMethod::xquad, .lambda = 0.9, .length = 2}, {})),
            (Items{0, 1}));
}

TEST(Reorder, ConstraintsHoldOrAreReported) {
  EXPECT_TRUE(rc::check([] {
    const Case test = drawn();
    const auto some = [&] {
      const auto drawn_items = *rc::gen::container<std::vector<std::int64_t>>(
          rc::gen::inRange<std::int64_t>(0, static_cast<std::int64_t>(test.items.size())));
      const std::set<std::int64_t> distinct(drawn_items.begin(), drawn_items.end());
      return Items(distinct.begin(), distinct.end());
    };
    const Items blocked = some(), fresh = some();
    Items must = some();
    must.resize(std::min<std::size_t>(must.size(), 2));
    std::vector<std::uint8_t> is_new(test.items.size(), 0);
    for (const std::int64_t item : fresh) is_new[item] = 1;
    ReorderConstraints constraints;
    constraints.max_per_category = *rc::gen::inRange<std::int64_t>(0, 4);
    constraints.min_new = *rc::gen::inRange<std::int64_t>(0, 4);
    constraints.is_new = is_new;
    constraints.blocked = blocked;
    constraints.must_have = must;
    const ReorderOptions options{.lambda = 0.3, .length = *rc::gen::inRange<std::int64_t>(1, 8)};
    const auto result = reorder(test.input(), options, constraints);
    const Items list = test.chosen(result);
    const auto gave_up = [&](Constraint constraint) {
      return std::ranges::find(result.relaxed, constraint) != result.relaxed.end();
    };
    RC_ASSERT(!result.is_short);  // everything may be relaxed, so no place stays empty
    RC_ASSERT(std::ssize(list) ==
              std::min(options.length, std::ssize(test.items) - static_cast<std::int64_t>(blocked.size())));
    RC_ASSERT(std::set(list.begin(), list.end()).size() == list.size());
    std::vector<std::int64_t> in_category(4, 0);
    std::int64_t new_ones = 0;
    for (const std::int64_t item : list) {
      RC_ASSERT(std::ranges::find(blocked, item) == blocked.end());
      new_ones += is_new[item];
      for (const std::int64_t category : test.of(item)) ++in_category[category];
    }
    if (constraints.max_per_category > 0 && !gave_up(Constraint::max_per_category))
      for (const std::int64_t count : in_category) RC_ASSERT(count <= constraints.max_per_category);
    if (!gave_up(Constraint::min_new)) RC_ASSERT(new_ones >= std::min(constraints.min_new, std::ssize(list)));
    if (!gave_up(Constraint::must_have))
      for (const std::int64_t item : must)
        RC_ASSERT(std::ranges::find(blocked, item) != blocked.end() || std::ranges::find(list, item) != list.end());
  }));
}

TEST(Reorder, GivesUpInTheDeclaredOrderAndOnlyWhatItMust) {
  const Case test = made({{0}, {0}, {0}, {1}}, {4, 3, 2, 1});
  ReorderConstraints constraints;
  constraints.max_per_category = 1;
  const Items must{2};
  constraints.must_have = must;
  // Two categories allow two items, of which 2 takes the place of its category.
  auto result = reorder(test.input(), {.length = 2}, constraints);
  EXPECT_EQ(test.chosen(result), (Items{2, 3}));
  EXPECT_TRUE(result.relaxed.empty());
  result = reorder(test.input(), {.length = 3}, constraints);
  EXPECT_EQ(result.relaxed, (std::vector{Constraint::max_per_category}));
  EXPECT_EQ(result.places.size(), 3U);
  constraints.relax = {Constraint::must_have};  // the number of a category is never given up
  result = reorder(test.input(), {.length = 3}, constraints);
  EXPECT_EQ(test.chosen(result), (Items{2, 3}));
  EXPECT_TRUE(result.is_short);
}

}  // namespace
}  // namespace swallowtail
