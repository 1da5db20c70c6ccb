// What no plan can beat. Two arguments, both over the costs of shard_cost.h:
//   a part   some table has a part that takes so long however it is divided over the ranks
//   work     where no rank takes longer than T, no part does; a part's seconds for its share of the table are then at
//            least those of the best rectangle within T; these sums over all tables must fit into world_size * T
#include <algorithm>
#include <limits>

#include "parallel/sharding/plan_search.h"
#include "parallel/sharding/planner.h"

namespace swallowtail {

namespace {

constexpr int kBisections = 40;

/// The smallest that the largest part of the table can be.
double smallest_part(const TableSpec& table, const TableCost& cost, int world_size, const PlannerOptions& options) {
  double smallest = std::numeric_limits<double>::infinity();
  const std::int64_t blocks = std::max<std::int64_t>(1, (table.dim + kColumnBlock - 1) / kColumnBlock);
  for (const TableCut& cut : allowed_cuts(table, world_size, options)) {
    if (!cut.is_copy && !table.sharding && !(cut.row_parts == 1 && cut.column_parts == 1)) {
      // As many row parts as ranks allow, whatever counts the proposals try: no division leaves less.
      const bool may_divide_rows = cut.column_parts == 1 || options.allow_grid;
      const std::int64_t most_rows = may_divide_rows ? world_size / cut.column_parts : 1;
      const double part_rows = static_cast<double>(table.rows) / static_cast<double>(most_rows);
      const std::int64_t widest = (blocks + cut.column_parts - 1) / cut.column_parts;
      // Rounded down: parts of one row more and one row less are both more than this.
      const ShardShape part{
          std::max<std::int64_t>(static_cast<std::int64_t>(part_rows), std::min<std::int64_t>(1, table.rows)),
          std::min(table.dim, widest * kColumnBlock), false};
      smallest = std::min(smallest, cost.of(part).seconds());
    } else {
      ShardShape part = largest_part(table, cut);
      if (table.sharding == Sharding::table_row_wise || table.sharding == Sharding::row_wise)
        part.rows = table.rows / cut.row_parts;
      smallest = std::min(smallest, cost.of(part).seconds());
    }
  }
  return smallest;
}

/// The least seconds of all parts of a table together where none is longer than `longest`.
double least_work(const TableSpec& table, const TableCost& cost, int world_size, const PlannerOptions& options,
                  double longest) {
  const double copy = cost.of({table.rows, table.dim, true}).seconds();
  if (table.sharding == Sharding::data_parallel) return world_size * copy;
  const bool may_copy = !table.sharding && options.allow_copies && copy <= longest;
  const double copies = may_copy ? world_size * copy : std::numeric_limits<double>::infinity();
  // Fewer than one id a bag: dividing may save what empty bags cost, and the argument below does not hold.
  if (table.mean_ids < 1) return std::min(copies, cost.floor_seconds());
  double least = std::numeric_limits<double>::infinity();
  const bool divides_rows =
      !table.sharding || table.sharding == Sharding::row_wise || table.sharding == Sharding::table_row_wise;
  const bool divides_columns = !table.sharding || table.sharding == Sharding::column_wise;
  for (std::int64_t cols = table.dim; cols > 0; cols = divides_columns ? (cols - 1) / kColumnBlock * kColumnBlock : 0) {
    const double bands = static_cast<double>(table.dim) / static_cast<double>(cols);
    const double whole = cost.of({table.rows, cols}).seconds();
    if (whole <= longest) least = std::min(least, bands * whole);
    if (!divides_rows || (cols < table.dim && !options.allow_grid)) continue;
    // A row costs the less the more rows are with it, so the largest part within `longest` is the best.
    std::int64_t low = 0, high = table.rows - 1;
    while (low < high) {
      const std::int64_t middle = low + (high - low + 1) / 2;
      if (cost.of({middle, cols}).seconds() <= longest)
        low = middle;
      else
        high = middle - 1;
    }
    if (low > 0)
      least = std::min(
          least, bands * cost.of({low, cols}).seconds() * static_cast<double>(table.rows) / static_cast<double>(low));
  }
  return std::min(copies, std::max(least, cost.floor_seconds()));
}

}  // namespace

PlanBound plan_bound(std::span<const TableSpec> tables, int world_size, PlannerOptions options) {
  options.costs.world_size = world_size;
  PlanBound bound;
  std::vector<TableCost> costs;
  for (const TableSpec& table : tables) costs.emplace_back(table, options.costs);
  const auto work = [&](double longest) {
    double seconds = 0;
    for (std::size_t t = 0; t < tables.size(); ++t)
      seconds += least_work(tables[t], costs[t], world_size, options, longest);
    return seconds / world_size;
  };
  for (std::size_t t = 0; t < tables.size(); ++t) {
    const bool is_copied = tables[t].sharding == Sharding::data_parallel;
    bound.bytes += costs[t].floor_bytes() * (is_copied ? world_size : 1);
    const double part = smallest_part(tables[t], costs[t], world_size, options);
    if (part > bound.part_seconds) {
      bound.part_seconds = part;
      bound.part_table = t;
    }
  }
  // Below `low` the work does not fit. work() falls as its argument grows.
  double low = work(std::numeric_limits<double>::infinity()), high = low;
  bound.mean_seconds = low;
  for (int i = 0; i < kBisections && work(high) > high; ++i) high *= 2;
  for (int i = 0; i < kBisections; ++i) {
    const double middle = (low + high) / 2;
    (work(middle) > middle ? low : high) = middle;
  }
  bound.work_seconds = low;
  bound.seconds = std::max(bound.work_seconds, bound.part_seconds);
  return bound;
}

}  // namespace swallowtail
