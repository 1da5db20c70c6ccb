// Laws of the planner on random tables: plans are whole, no worse than the greedy one, never below the bound, and the
// same for the same input.
#include "parallel/sharding/planner.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "kernels/random.h"

namespace swallowtail {
namespace {

/// Roughly a GPU and its links: what is tried are laws, which hold for any positive constants.
EmbeddingCosts costs() {
  EmbeddingCosts with;
  with.batch = 8192;
  with.lookup_byte_s = with.cached_byte_s = 1 / 2.6e12;
  with.update_byte_s = 2 / 2.6e12;
  with.gradient_byte_s = 1 / 3e12;
  with.update_id_s = 1e-11;
  with.shard_s = 2e-6;
  with.link_byte_s = 1 / 48e9;
  with.deduplicates = true;
  return with;
}

std::vector<TableSpec> random_tables(std::uint64_t seed, std::int64_t count) {
  std::vector<TableSpec> tables;
  for (std::int64_t t = 0; t < count; ++t) {
    const auto key = random::bits(seed, 5, static_cast<std::uint64_t>(t));
    TableSpec& table = tables.emplace_back();
    table.name = fmt::format("t{}", t);
    table.rows = 1 + random::below(key, random::below(key >> 9, 3) == 0 ? 3'000'000 : 5'000);
    table.dim = 4 * (1 + random::below(key >> 17, 32));
    table.mean_ids = 1 + 20 * random::uniform(random::mix(key));
    table.zipf = random::below(key >> 21, 2) ? 1.05 : 0;
    table.state_per_row = table.dim;
    if (random::below(key >> 23, 8) == 0) table.sharding = Sharding::row_wise;
  }
  return tables;
}

std::vector<int> machines(int ranks, int a_machine) {
  std::vector<int> node_of;
  for (int rank = 0; rank < ranks; ++rank) node_of.push_back(rank / a_machine);
  return node_of;
}

double largest(const std::vector<ShardCost>& ranks) {
  return std::ranges::max(ranks, {}, &ShardCost::seconds).seconds();
}

/// Every row and column of every table is held exactly once, or whole by every rank.
void expect_whole(const std::vector<TableSpec>& tables, const ShardingPlan& plan) {
  ASSERT_EQ(plan.tables.size(), tables.size());
  for (std::size_t t = 0; t < tables.size(); ++t) {
    const TablePlan& table = plan.tables[t];
    std::int64_t cells = 0;
    std::vector<bool> holds(static_cast<std::size_t>(plan.world_size), false);
    for (const Shard& shard : table.shards) {
      ASSERT_TRUE(shard.rank >= 0 && shard.rank < plan.world_size);
      EXPECT_FALSE(holds[static_cast<std::size_t>(shard.rank)]) << "two shards of one table on a rank";
      holds[static_cast<std::size_t>(shard.rank)] = true;
      EXPECT_TRUE(shard.first_row >= 0 && shard.first_row + shard.rows <= tables[t].rows);
      EXPECT_TRUE(shard.first_col >= 0 && shard.first_col + shard.cols <= tables[t].dim);
      EXPECT_EQ(shard.first_col % kColumnBlock, 0);
      cells += shard.rows * shard.cols;
    }
    const bool is_copied = table.sharding == Sharding::data_parallel;
    EXPECT_EQ(cells, tables[t].rows * tables[t].dim * (is_copied ? plan.world_size : 1)) << tables[t].name;
    if (is_copied) continue;
    for (std::size_t a = 0; a < table.shards.size(); ++a)
      for (std::size_t b = a + 1; b < table.shards.size(); ++b) {
        const Shard &x = table.shards[a], &y = table.shards[b];
        EXPECT_TRUE(x.first_row + x.rows <= y.first_row || y.first_row + y.rows <= x.first_row ||
                    x.first_col + x.cols <= y.first_col || y.first_col + y.cols <= x.first_col)
            << tables[t].name << " is held twice";
      }
  }
}

TEST(Planner, PlansAreWholeAndBetweenTheBoundAndTheGreedyOne) {
  for (std::uint64_t seed = 0; seed < 12; ++seed)
    for (const int ranks : {1, 2, 3, 8, 16}) {
      const auto tables = random_tables(seed, 1 + static_cast<std::int64_t>(seed % 4) * 6);
      const auto node_of = machines(ranks, 4);
      const PlannedTables planned = plan_auto(tables, node_of, {.costs = costs()});
      expect_whole(tables, planned.plan);
      const double greedy = largest(rank_costs(tables, plan_as_asked(tables, node_of), costs()));
      EXPECT_LE(planned.max_seconds(), greedy * (1 + 1e-9)) << "seed " << seed << " ranks " << ranks;
      EXPECT_GE(planned.max_seconds(), planned.bound.seconds * (1 - 1e-9)) << "seed " << seed << " ranks " << ranks;
      EXPECT_GT(planned.bound.seconds, 0);
      for (std::size_t t = 0; t < tables.size(); ++t)
        if (tables[t].sharding) {
          EXPECT_EQ(planned.plan.tables[t].sharding, *tables[t].sharding);
        }
    }
}

TEST(Planner, TheBoundHoldsForEveryPlanOfASmallCase) {
  // Three tables whole on two ranks: eight plans. None is below the bound, and the planner finds none worse than the
  // best of them.
  for (std::uint64_t seed = 20; seed < 40; ++seed) {
    auto tables = random_tables(seed, 3);
    for (TableSpec& table : tables) table.sharding.reset();
    const auto node_of = machines(2, 2);
    const PlannerOptions options{.costs = costs()};
    const PlanBound bound = plan_bound(tables, 2, options);
    double best = 1e300;
    for (int code = 0; code < 8; ++code) {
      ShardingPlan plan{2, {}};
      for (int t = 0; t < 3; ++t) {
        const TableSpec& table = tables[static_cast<std::size_t>(t)];
        plan.tables.push_back({Sharding::table_wise,
                               RowOrder::as_they_stand(table.rows),
                               {{(code >> t) & 1, 0, table.rows, 0, table.dim}}});
      }
      const double seconds = largest(rank_costs(tables, plan, costs()));
      EXPECT_GE(seconds, bound.seconds * (1 - 1e-9)) << "seed " << seed;
      best = std::min(best, seconds);
    }
    EXPECT_LE(plan_auto(tables, node_of, options).max_seconds(), best * (1 + 0.0051)) << "seed " << seed;
  }
}

TEST(Planner, TheSameInputGivesTheSamePlan) {
  const auto tables = random_tables(3, 20);
  const auto node_of = machines(8, 4);
  const auto one = plan_auto(tables, node_of, {.costs = costs()}),
             other = plan_auto(tables, node_of, {.costs = costs()});
  for (std::size_t t = 0; t < tables.size(); ++t) {
    EXPECT_EQ(one.plan.tables[t].sharding, other.plan.tables[t].sharding);
    EXPECT_EQ(one.plan.tables[t].shards, other.plan.tables[t].shards);
  }
}

TEST(Planner, SaysWhatIsMissingWhereNothingFits) {
  const auto tables = random_tables(4, 10);
  const auto node_of = machines(4, 4);
  const double bytes = plan_bound(tables, 4, {.costs = costs()}).bytes;
  const auto roomy = plan_auto(tables, node_of, {.costs = costs(), .capacity_bytes = static_cast<std::int64_t>(bytes)});
  EXPECT_EQ(roomy.missing_bytes, 0);
  const auto tight =
      plan_auto(tables, node_of, {.costs = costs(), .capacity_bytes = static_cast<std::int64_t>(bytes / 8)});
  EXPECT_GE(tight.missing_bytes, bytes - 4 * (bytes / 8) - 1);
}

TEST(Planner, MemoryDividesWhatDoesNotFitWhole) {
  // One table of 40 MB and its state on ranks of 30 MB.
  std::vector<TableSpec> tables(1);
  tables[0] = {.name = "big", .rows = 100'000, .dim = 100, .state_per_row = 0};
  const auto planned = plan_auto(tables, machines(4, 4), {.costs = costs(), .capacity_bytes = 30'000'000});
  EXPECT_EQ(planned.missing_bytes, 0);
  EXPECT_GE(planned.plan.tables[0].shards.size(), 2U);
}

}  // namespace
}  // namespace swallowtail
