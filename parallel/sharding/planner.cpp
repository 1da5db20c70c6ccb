#include "parallel/sharding/planner.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>

#include "parallel/sharding/plan_search.h"

namespace swallowtail {

namespace {

// Targets of the proposals, in units of the bound: fine cuts balance well, coarse ones cost less in all.
constexpr double kTargets[] = {0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.25, 1.6, 2.0, 3.0, 5.0, 10.0};
constexpr std::size_t kHeavyTables = 3;
constexpr std::size_t kSearched = 4;                             // proposals that the local search starts from
constexpr std::int64_t kMostParts = 40000;                       // of the proposals near the best that are searched too
constexpr int kMostMoves = 20000;                                // of each search
constexpr double kCloseEnough = 1.01;                            // times the bound: not searched any further
constexpr std::int64_t kMostKicks = 400, kKickedParts = 100000;  // kicks, and the parts of the plans that are kicked
constexpr double kWorthAShard = 5e-3;  // a plan of fewer shards is taken where it is slower by less than this share

std::vector<TableCost> table_costs(std::span<const TableSpec> tables, const EmbeddingCosts& costs) {
  std::vector<TableCost> made;
  for (const TableSpec& table : tables) made.emplace_back(table, costs);
  return made;
}

/// The tables that cost most, the costliest first.
std::vector<std::size_t> heaviest(std::span<const TableCost> costs, std::size_t count) {
  std::vector<std::size_t> tables(costs.size());
  std::iota(tables.begin(), tables.end(), std::size_t{0});
  std::ranges::stable_sort(tables, std::greater{}, [&](std::size_t table) { return costs[table].floor_seconds(); });
  tables.resize(std::min(tables.size(), count));
  return tables;
}

std::vector<ShardCost> costs_by_rank(std::span<const TableCost> costs, const ShardingPlan& plan) {
  std::vector<ShardCost> ranks(static_cast<std::size_t>(plan.world_size));
  for (std::size_t t = 0; t < plan.tables.size(); ++t)
    for (const Shard& shard : plan.tables[t].shards)
      ranks[static_cast<std::size_t>(shard.rank)] +=
          costs[t].of({shard.rows, shard.cols, plan.tables[t].sharding == Sharding::data_parallel});
  return ranks;
}

}  // namespace

double PlannedTables::max_seconds() const {
  return ranks.empty() ? 0 : std::ranges::max(ranks, {}, &ShardCost::seconds).seconds();
}

double PlannedTables::mean_seconds() const {
  double sum = 0;
  for (const ShardCost& rank : ranks) sum += rank.seconds();
  return ranks.empty() ? 0 : sum / static_cast<double>(ranks.size());
}

int PlannedTables::critical_rank() const {
  return static_cast<int>(std::ranges::max_element(ranks, {}, &ShardCost::seconds) - ranks.begin());
}

std::vector<ShardCost> rank_costs(std::span<const TableSpec> tables, const ShardingPlan& plan, EmbeddingCosts costs) {
  costs.world_size = plan.world_size;
  return costs_by_rank(table_costs(tables, costs), plan);
}

PlannedTables plan_auto(std::span<const TableSpec> tables, std::span<const int> node_of, PlannerOptions options) {
  const int world_size = static_cast<int>(node_of.size());
  options.costs.world_size = world_size;
  const auto costs = table_costs(tables, options.costs);
  PlannedTables planned;
  planned.bound = plan_bound(tables, world_size, options);

  const PlanSearch empty(tables, costs, node_of, options);
  std::vector<PlanSearch> proposals{empty};
  proposals.front().adopt(plan_as_asked(tables, node_of));
  const auto capacity = static_cast<double>(options.capacity_bytes);
  for (const double target : kTargets)
    for (const double share : {0.5, 0.1}) {
      if (share < 0.5 && capacity <= 0) continue;
      proposals.push_back(empty);
      proposals.back().cut_all(target * planned.bound.seconds, share * capacity);
    }
  proposals.push_back(empty);
  proposals.back().cut_all(std::numeric_limits<double>::infinity(), 0);
  planned.proposals = static_cast<int>(proposals.size());

  // The plan as asked is always among those that are searched, and none that is worse is taken.
  const double as_asked = proposals.front().objective();
  std::ranges::stable_sort(proposals.begin() + 1, proposals.end(), {},
                           [](const PlanSearch& proposal) { return proposal.objective(); });
  if (proposals.size() > kSearched + 1) proposals.erase(proposals.begin() + kSearched + 1, proposals.end());
  double lowest = std::numeric_limits<double>::infinity();
  const auto search = [&](PlanSearch& proposal) {
    planned.moves += proposal.improve(kMostMoves);
    lowest = std::min(lowest, proposal.objective());
  };
  for (PlanSearch& proposal : proposals) search(proposal);
  // Around the best so far: everything cut finer, and the tables that weigh most cut finer than the others.
  std::vector<PlanSearch> nearby;
  const auto propose = [&](double target, std::optional<PlanSearch::OwnTarget> own) {
    nearby.push_back(empty);
    nearby.back().cut_all(target, capacity / 2, own);
  };
  const double reference = lowest;
  for (const double target : {0.35, 0.6, 0.8, 0.9, 1.0}) {
    propose(target * reference, {});
    for (const std::size_t table : heaviest(costs, kHeavyTables))
      for (const double share : {0.95, 0.85, 0.7, 0.5})
        propose(target * reference, PlanSearch::OwnTarget{table, share * reference});
  }
  // Parts as large as a target just above the bound allows: where little is left over, nothing is better.
  for (const double target : {1.01, 1.02, 1.035, 1.05, 1.07, 1.1, 1.15, 1.2}) {
    nearby.push_back(empty);
    nearby.back().cut_to_target(target * planned.bound.seconds, capacity / 2);
  }
  planned.proposals += static_cast<int>(nearby.size());
  std::ranges::stable_sort(nearby, {}, [](const PlanSearch& proposal) { return proposal.objective(); });
  std::int64_t parts = 0;
  for (PlanSearch& proposal : nearby) {
    if ((parts += proposal.parts()) > kMostParts) break;
    search(proposal);
    proposals.push_back(std::move(proposal));
  }
  // What is still far from the bound is shaken.
  const auto kicked_from = std::ranges::min_element(proposals, {}, &PlanSearch::objective) - proposals.begin();
  const auto kicks = std::min<std::int64_t>(
      kMostKicks, kKickedParts / std::max<std::int64_t>(1, proposals[static_cast<std::size_t>(kicked_from)].parts()));
  PlanSearch shaken = proposals[static_cast<std::size_t>(kicked_from)];
  for (std::int64_t k = 0; k < kicks && lowest > kCloseEnough * planned.bound.seconds; ++k) {
    PlanSearch trial = shaken;
    trial.kick(static_cast<std::uint64_t>(k));
    planned.moves += trial.improve(kMostMoves);
    ++planned.proposals;
    if (trial.objective() >= lowest) continue;
    lowest = trial.objective();
    shaken = std::move(trial);
  }
  proposals.push_back(std::move(shaken));
  const double low_enough = std::min(lowest * (1 + kWorthAShard), std::max(lowest, as_asked));
  const PlanSearch* best = nullptr;
  for (const PlanSearch& proposal : proposals) {
    if (proposal.objective() > low_enough) continue;
    if (best == nullptr ||
        std::pair(proposal.parts(), proposal.objective()) < std::pair(best->parts(), best->objective()))
      best = &proposal;
  }

  planned.plan = best->plan();
  planned.ranks = costs_by_rank(costs, planned.plan);
  if (capacity > 0) {
    for (const ShardCost& rank : planned.ranks) planned.missing_bytes += std::max(0.0, rank.bytes() - capacity);
  }
  return planned;
}

}  // namespace swallowtail
