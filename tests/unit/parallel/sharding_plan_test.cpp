#include "parallel/sharding/sharding_plan.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "kernels/random.h"

namespace swallowtail {
namespace {

std::vector<int> one_machine(int world_size) { return std::vector<int>(static_cast<std::size_t>(world_size), 0); }

int owner(const ShardingPlan& plan, std::size_t table) { return plan.tables[table].shards.front().rank; }

std::vector<TableSpec> random_tables(std::uint64_t seed, std::int64_t count) {
  std::vector<TableSpec> tables;
  for (std::int64_t table = 0; table < count; ++table) {
    const auto key = random::bits(seed, 7, static_cast<std::uint64_t>(table));
    tables.push_back({fmt::format("t{}", table), 1 + random::below(key, 100'000), 16, 1.0 + random::uniform(key)});
  }
  return tables;
}

TEST(PlanTableWise, LargestFirstByHand) {
  // Values: 800, 700, 600, 500, 100 on two ranks: 800 | 700, 700+600, 800+500, 1300 = 1300 + 100 to the less looked up.
  const std::vector<TableSpec> tables{
      {"e", 100, 1, 1}, {"a", 100, 8, 1}, {"d", 50, 10, 1}, {"b", 700, 1, 1}, {"c", 60, 10, 1}};
  const auto plan = plan_as_asked(tables, one_machine(2));
  EXPECT_EQ(owner(plan, 1), 0);  // a
  EXPECT_EQ(owner(plan, 3), 1);  // b
  EXPECT_EQ(owner(plan, 4), 1);  // c
  EXPECT_EQ(owner(plan, 2), 0);  // d
  EXPECT_EQ(owner(plan, 0), 1);  // e: both hold 1300 values; rank 1 looks up 11 floats a sample, rank 0 18
  EXPECT_EQ(bytes_per_rank(plan, 4), (std::vector<std::int64_t>{1300 * 4, 1400 * 4}));
  EXPECT_EQ(bytes_per_rank(plan, 4, 4), (std::vector<std::int64_t>{1300 * 4 + 150 * 4, 1400 * 4 + 860 * 4}));
  EXPECT_EQ(plan.tables_of(0), (std::vector<std::size_t>{1, 2}));
}

TEST(PlanTableWise, EqualTablesGoRoundInOrder) {
  const std::vector<TableSpec> tables(5, TableSpec{"t", 10, 4, 1});
  const auto plan = plan_as_asked(tables, one_machine(3));
  for (std::size_t table = 0; table < 5; ++table) EXPECT_EQ(owner(plan, table), static_cast<int>(table % 3));
}

TEST(PlanTableWise, EachTableIsCoveredOnceByOneShard) {
  for (std::uint64_t seed = 0; seed < 20; ++seed)
    for (const int world_size : {1, 2, 3, 8, 40}) {
      const auto tables = random_tables(seed, 26);
      const auto plan = plan_as_asked(tables, one_machine(world_size));
      ASSERT_EQ(plan.tables.size(), tables.size());
      std::size_t held = 0;
      for (int rank = 0; rank < world_size; ++rank) held += plan.tables_of(rank).size();
      EXPECT_EQ(held, tables.size());
      for (std::size_t table = 0; table < tables.size(); ++table) {
        ASSERT_EQ(plan.tables[table].shards.size(), 1U);
        const auto& shard = plan.tables[table].shards.front();
        EXPECT_EQ(shard, (Shard{shard.rank, 0, tables[table].rows, 0, tables[table].dim}));
        EXPECT_TRUE(shard.rank >= 0 && shard.rank < world_size);
      }
    }
}

TEST(PlanTableWise, LargestRankIsWithinGrahamsBound) {
  for (std::uint64_t seed = 0; seed < 50; ++seed)
    for (const int world_size : {2, 3, 8}) {
      const auto tables = random_tables(seed, 26);
      const auto bytes = bytes_per_rank(plan_as_asked(tables, one_machine(world_size)), 4);
      std::int64_t largest_table = 0;
      for (const auto& table : tables) largest_table = std::max(largest_table, table.rows * table.dim * 4);
      const double mean = static_cast<double>(std::reduce(bytes.begin(), bytes.end())) / world_size;
      const double bound = std::max(static_cast<double>(largest_table), mean);  // no plan can be below
      EXPECT_LE(static_cast<double>(*std::ranges::max_element(bytes)), 4.0 / 3.0 * bound + 1) << "seed " << seed;
    }
}

TEST(PlanTableWise, MoreRanksThanTablesLeavesSomeEmpty) {
  const auto plan = plan_as_asked(random_tables(1, 3), one_machine(8));
  EXPECT_EQ(std::ranges::count(bytes_per_rank(plan, 4), 0), 5);
  EXPECT_TRUE(plan_as_asked({}, one_machine(4)).tables.empty());
}

}  // namespace
}  // namespace swallowtail
