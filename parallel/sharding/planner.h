// Finds a sharding plan whose busiest rank is as little busy as may be, and says how far from the best it can at most
// be. Pure functions of their arguments: every rank of a run makes the same plan and nothing is sent.
// Stages: proposals (tables cut into parts that fit a target load, by rows, columns or both; whole tables; copies),
// parts placed largest first, local search from the best of them (move, swap, level rows or columns, cut anew). The
// first proposal is plan_as_asked, so no plan is worse than it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "parallel/sharding/shard_cost.h"
#include "parallel/sharding/sharding_plan.h"
#include "parallel/sharding/table.h"

namespace swallowtail {

struct PlannerOptions {
  EmbeddingCosts costs{};
  std::int64_t capacity_bytes = 0;  // of a rank for its shards and their buffers; 0: no limit
  bool allow_copies = true;         // data_parallel may be chosen
  bool allow_grid = false;          // both rows and columns of one table may be divided (Sharding::grid)
};

/// What bounds the time of the busiest rank from below, whatever the plan (plan_bound.cpp).
struct PlanBound {
  double seconds = 0;       // the largest of those that follow
  double mean_seconds = 0;  // all work, without what dividing it costs, spread evenly
  double work_seconds = 0;  // the same with the least that dividing it so far must cost
  double part_seconds = 0;  // the smallest largest part that any division of one table leaves
  std::size_t part_table = 0;
  double bytes = 0;  // of all ranks together, without what dividing costs
};

struct PlannedTables {
  ShardingPlan plan;
  std::vector<ShardCost> ranks;  // [world_size]
  PlanBound bound;
  double missing_bytes = 0;  // over all ranks, beyond their capacity; 0: it fits
  int proposals = 0;         // plans that were looked at
  int moves = 0;             // of the local search

  double max_seconds() const;
  double mean_seconds() const;
  int critical_rank() const;  // the busiest, the lowest on a tie
};

/// Tables with a wish (TableSpec::sharding) are divided as plan_as_asked does it, though perhaps elsewhere.
/// node_of [world_size]: the machine of each rank. costs.world_size is taken from it.
PlannedTables plan_auto(std::span<const TableSpec> tables, std::span<const int> node_of, PlannerOptions options);

/// The ranks' costs under any plan.
std::vector<ShardCost> rank_costs(std::span<const TableSpec> tables, const ShardingPlan& plan, EmbeddingCosts costs);

PlanBound plan_bound(std::span<const TableSpec> tables, int world_size, PlannerOptions options);

}  // namespace swallowtail
