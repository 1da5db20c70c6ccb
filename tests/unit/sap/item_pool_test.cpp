#include "trainer/sap/item_pool.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <bit>
#include <set>

#include "parallel/error.h"

namespace swallowtail {
namespace {

using Items = std::vector<std::int64_t>;

PoolInput input_of(const std::vector<Items>& lists, const Items& hidden, const Items& popular) {
  PoolInput input;
  for (const Items& list : lists) input.lists.emplace_back(list);
  input.hidden = hidden;
  input.popular = popular;
  return input;
}

TEST(ItemPool, SaysWhoProposedWhatAndWhere) {
  const std::vector<Items> lists{{7, 3, 5}, {3, 9}};
  const Items hidden{5}, popular{1, 3, 2};
  const ItemPool pool = merge_proposals(input_of(lists, hidden, popular), {.at_least = 4}, "u");
  EXPECT_EQ(pool.items, (Items{1, 3, 7, 9}));
  EXPECT_EQ(pool.sources, (std::vector<std::uint64_t>{kFilled, 3, 1, 2}));
  EXPECT_EQ(pool.ranks, (std::vector<std::int32_t>{0, 2, 1, 0, 0, 1, 0, 2}));
  EXPECT_EQ(pool.scores.size(), 8U);
}

TEST(ItemPool, TheLimitKeepsTheBestFusedAndTheSmallerOfEquals) {
  // 4 is second in both lists: 2 / 62 beats 1 / 61; 8 and 9 are alike, so 8 stays.
  const std::vector<Items> lists{{9, 4, 1}, {8, 4, 2}};
  const ItemPool pool = merge_proposals(input_of(lists, {}, {}), {.limit = 2}, "u");
  EXPECT_EQ(pool.items, (Items{4, 8}));
}

TEST(ItemPool, NothingLeftNamesTheUser) {
  const std::vector<Items> lists{{1}, {}};
  const Items hidden{1, 2}, popular{2};
  try {
    merge_proposals(input_of(lists, hidden, popular), {}, "196");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::data);
    EXPECT_NE(error.message().find("196"), std::string::npos);
  }
}

TEST(ItemPool, LawsHoldForAnyLists) {
  EXPECT_TRUE(rc::check([] {
    const auto draw_list = [] {
      const auto raw = *rc::gen::container<std::vector<std::int64_t>>(rc::gen::inRange<std::int64_t>(0, 30));
      Items list;  // a list names each item once
      for (const std::int64_t item : raw)
        if (std::ranges::find(list, item) == list.end()) list.push_back(item);
      return list;
    };
    std::vector<Items> lists;
    for (auto left = *rc::gen::inRange(1, 5); left > 0; --left) lists.push_back(draw_list());
    const Items hidden = draw_list(), popular = draw_list();
    const PoolOptions options{.per_component = *rc::gen::inRange<std::int64_t>(1, 20),
                              .limit = *rc::gen::inRange<std::int64_t>(1, 20),
                              .at_least = *rc::gen::inRange<std::int64_t>(0, 12)};
    std::set<std::int64_t> possible(popular.begin(), popular.end());
    for (const Items& list : lists) possible.insert(list.begin(), list.end());
    for (const std::int64_t item : hidden) possible.erase(item);
    ItemPool pool;
    try {
      pool = merge_proposals(input_of(lists, hidden, popular), options, "u");
    } catch (const Error&) {
      RC_ASSERT(possible.empty() || options.at_least == 0);
      return;
    }
    RC_ASSERT(pool.size() >= 1);
    RC_ASSERT(pool.size() <= options.limit);
    RC_ASSERT(pool.size() >=
              std::min<std::int64_t>({options.at_least, options.limit, std::ssize(popular)}) - std::ssize(hidden));
    RC_ASSERT(std::ranges::adjacent_find(pool.items, std::greater_equal<>()) == pool.items.end());
    for (std::int64_t p = 0; p < pool.size(); ++p) {
      RC_ASSERT(std::popcount(pool.sources[p]) >= 1);
      RC_ASSERT(std::ranges::find(hidden, pool.items[p]) == hidden.end());
      for (std::size_t c = 0; c < lists.size(); ++c)
        RC_ASSERT(((pool.sources[p] >> c & 1) != 0) == (pool.ranks[c * pool.items.size() + p] > 0));
    }
    // Components in another order: the same items, with their bits in that order.
    std::vector<Items> turned(lists.rbegin(), lists.rend());
    const ItemPool back = merge_proposals(input_of(turned, hidden, popular), options, "u");
    RC_ASSERT(back.items == pool.items);
    for (std::int64_t p = 0; p < pool.size(); ++p)
      for (std::size_t c = 0; c < lists.size(); ++c)
        RC_ASSERT((pool.sources[p] >> c & 1) == (back.sources[p] >> (lists.size() - 1 - c) & 1));
  }));
}

}  // namespace
}  // namespace swallowtail
