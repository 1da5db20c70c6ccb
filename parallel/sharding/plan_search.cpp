#include "parallel/sharding/plan_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <tuple>
#include <utility>

namespace swallowtail {

namespace {

// Bytes beyond a rank's memory weigh more than any time: a second for each part in a million of it.
constexpr double kOverflowWeight = 1e6;

std::int64_t blocks_of(const TableSpec& table) { return (table.dim + kColumnBlock - 1) / kColumnBlock; }

std::int64_t column_at(const TableSpec& table, std::int64_t part, std::int64_t parts) {
  return std::min(table.dim, blocks_of(table) * part / parts * kColumnBlock);
}

}  // namespace

ShardShape largest_part(const TableSpec& table, const TableCut& cut) {
  const std::int64_t rows = (table.rows + cut.row_parts - 1) / cut.row_parts;
  const std::int64_t blocks = (blocks_of(table) + cut.column_parts - 1) / cut.column_parts;
  return {rows, std::min(table.dim, blocks * kColumnBlock), cut.is_copy};
}

std::vector<TableCut> allowed_cuts(const TableSpec& table, int world_size, const PlannerOptions& options) {
  const int columns = static_cast<int>(std::clamp<std::int64_t>(blocks_of(table), 1, world_size));
  const int rows = static_cast<int>(std::clamp<std::int64_t>(table.rows, 1, world_size));
  if (table.sharding) switch (*table.sharding) {
      case Sharding::table_wise:
        return {{}};
      case Sharding::row_wise:
      case Sharding::table_row_wise:
        return {{.row_parts = rows}};
      case Sharding::column_wise:
        return {{.column_parts = columns}};
      case Sharding::data_parallel:
        return {{.is_copy = true}};
      case Sharding::grid:
        break;
    }
  std::vector<TableCut> cuts{{}};
  std::vector<int> row_parts;
  for (int parts = 1; parts < rows; parts = parts < 16 ? parts + 1 : parts + parts / 8) row_parts.push_back(parts);
  row_parts.push_back(rows);
  const std::int64_t blocks = blocks_of(table);
  for (int c = 1; c <= columns; ++c) {
    // Only counts that make the widest part narrower.
    if (c > 1 && (blocks + c - 1) / c == (blocks + c - 2) / (c - 1)) continue;
    for (const int k : row_parts)
      if (k * c > 1 && std::int64_t{k} * c <= world_size && (k == 1 || c == 1 || options.allow_grid))
        cuts.push_back({.row_parts = k, .column_parts = c});
  }
  if (options.allow_copies && world_size > 1) cuts.push_back({.is_copy = true});
  return cuts;
}

PlanSearch::PlanSearch(std::span<const TableSpec> tables, std::span<const TableCost> costs,
                       std::span<const int> node_of, const PlannerOptions& options)
    : tables_(tables),
      costs_(costs),
      node_of_(node_of),
      options_(&options),
      parts_of_table_(tables.size()),
      ranks_(node_of.size()) {
  std::vector<std::vector<TableCut>> cuts;
  for (const TableSpec& table : tables) cuts.push_back(allowed_cuts(table, static_cast<int>(node_of.size()), options));
  cuts_ = std::make_shared<const std::vector<std::vector<TableCut>>>(std::move(cuts));
}

double PlanSearch::level(double seconds, double bytes) const {
  const auto capacity = static_cast<double>(options_->capacity_bytes);
  return capacity > 0 && bytes > capacity ? seconds + kOverflowWeight * (bytes - capacity) / capacity : seconds;
}

double PlanSearch::level(int rank) const {
  const Rank& of = ranks_[static_cast<std::size_t>(rank)];
  return level(of.seconds, of.bytes);
}

double PlanSearch::objective() const {
  double highest = 0;
  for (const Rank& rank : ranks_) highest = std::max(highest, level(rank.seconds, rank.bytes));
  return highest;
}

std::int64_t PlanSearch::parts() const {
  return std::ranges::count_if(parts_, [](const Part& part) { return part.rank >= 0; });
}

PlanSearch::Part PlanSearch::priced(Part part) const {
  const ShardCost cost = costs_[part.table].of({part.rows, part.cols, part.is_copy});
  part.seconds = cost.seconds();
  part.bytes = cost.bytes();
  return part;
}

bool PlanSearch::holds(int rank, std::size_t table) const {
  return std::ranges::any_of(ranks_[static_cast<std::size_t>(rank)].parts,
                             [&](std::size_t part) { return parts_[part].table == table; });
}

void PlanSearch::put(std::size_t part, int rank) {
  Rank& to = ranks_[static_cast<std::size_t>(rank)];
  parts_[part].rank = rank;
  to.seconds += parts_[part].seconds;
  to.bytes += parts_[part].bytes;
  to.parts.push_back(part);
}

void PlanSearch::take(std::size_t part) {
  Rank& from = ranks_[static_cast<std::size_t>(parts_[part].rank)];
  from.parts.erase(std::ranges::find(from.parts, part));
  // Summed again, so that rounding does not pile up over thousands of moves.
  from.seconds = from.bytes = 0;
  for (const std::size_t left : from.parts) {
    from.seconds += parts_[left].seconds;
    from.bytes += parts_[left].bytes;
  }
  parts_[part].rank = -1;
}

void PlanSearch::drop_table(std::size_t table) {
  for (const std::size_t part : parts_of_table_[table]) take(part);
  parts_of_table_[table].clear();
}

std::vector<PlanSearch::Part> PlanSearch::cut(std::size_t table, const TableCut& into) const {
  const TableSpec& spec = tables_[table];
  const auto world_size = static_cast<std::int64_t>(ranks_.size());
  if (into.is_copy) {
    const Part copy = priced({.table = table, .rows = spec.rows, .cols = spec.dim, .is_copy = true, .is_fixed = true});
    return std::vector<Part>(static_cast<std::size_t>(world_size), copy);
  }
  const bool is_fixed = spec.sharding && *spec.sharding == Sharding::row_wise;
  std::vector<Part> parts;
  for (std::int64_t r = 0; r < into.row_parts; ++r)
    for (std::int64_t c = 0; c < into.column_parts; ++c) {
      const std::int64_t first_col = column_at(spec, c, into.column_parts);
      parts.push_back(priced({.table = table,
                              .rows = spec.rows * (r + 1) / into.row_parts - spec.rows * r / into.row_parts,
                              .first_col = first_col,
                              .cols = column_at(spec, c + 1, into.column_parts) - first_col,
                              .is_fixed = is_fixed}));
    }
  return parts;
}

/// Least time in all among the cuts whose parts are within the target; the smallest parts where none is.
TableCut PlanSearch::cheapest_cut(std::size_t table, double target_seconds, double target_bytes) const {
  TableCut best;
  double best_total = std::numeric_limits<double>::infinity(), best_part = best_total;
  bool best_is_within = false;
  for (const TableCut& candidate : (*cuts_)[table]) {
    const ShardCost part = costs_[table].of(largest_part(tables_[table], candidate));
    const double count = candidate.is_copy ? static_cast<double>(ranks_.size())
                                           : static_cast<double>(candidate.row_parts) * candidate.column_parts;
    const bool is_within = part.seconds() <= target_seconds && (target_bytes <= 0 || part.bytes() <= target_bytes);
    const double size = std::max(part.seconds(), target_bytes > 0 ? part.bytes() / target_bytes * target_seconds : 0);
    const bool is_better = is_within != best_is_within ? is_within
                           : is_within                 ? part.seconds() * count < best_total
                                                       : size < best_part;
    if (!is_better) continue;
    best = candidate;
    best_total = part.seconds() * count;
    best_part = size;
    best_is_within = is_within;
  }
  return best;
}

void PlanSearch::place_on_node(std::size_t table) {
  double best = std::numeric_limits<double>::infinity();
  std::vector<int> best_ranks;
  for (int node = 0; node <= std::ranges::max(node_of_); ++node) {
    std::vector<int> ranks;
    double highest = 0;
    for (int rank = 0; rank < std::ssize(ranks_); ++rank)
      if (node_of_[static_cast<std::size_t>(rank)] == node) {
        ranks.push_back(rank);
        highest = std::max(highest, level(rank));
      }
    if (ranks.empty() || highest >= best) continue;
    best = highest;
    best_ranks = ranks;
  }
  const auto node_parts = cut(
      table, {.row_parts = static_cast<int>(std::clamp<std::int64_t>(tables_[table].rows, 1, std::ssize(best_ranks)))});
  for (std::size_t i = 0; i < node_parts.size(); ++i) {
    parts_.push_back(node_parts[i]);
    parts_.back().is_fixed = true;
    parts_of_table_[table].push_back(parts_.size() - 1);
    put(parts_.size() - 1, best_ranks[i]);
  }
}

/// Largest first, each on the rank that is lowest with it. Fixed parts: one a rank, in order.
void PlanSearch::place(std::vector<Part> parts) {
  std::ranges::stable_sort(parts, [&](const Part& a, const Part& b) {
    if (a.is_fixed != b.is_fixed) return a.is_fixed;
    return level(a.seconds, a.bytes) > level(b.seconds, b.bytes);
  });
  std::set<std::pair<double, int>> by_level;
  for (int rank = 0; rank < std::ssize(ranks_); ++rank) by_level.emplace(level(rank), rank);
  std::vector<int> next_fixed(tables_.size(), 0);
  for (const Part& part : parts) {
    parts_.push_back(part);
    parts_of_table_[part.table].push_back(parts_.size() - 1);
    int best = -1;
    if (part.is_fixed) {
      best = next_fixed[part.table]++;
    } else {
      double best_level = std::numeric_limits<double>::infinity();
      for (const auto& [lowest, rank] : by_level) {
        if (lowest >= best_level) break;  // whoever follows cannot become lower than that
        if (holds(rank, part.table)) continue;
        const Rank& at = ranks_[static_cast<std::size_t>(rank)];
        const double after = level(at.seconds + part.seconds, at.bytes + part.bytes);
        if (after >= best_level) continue;
        best_level = after;
        best = rank;
      }
    }
    by_level.erase({level(best), best});
    put(parts_.size() - 1, best);
    by_level.emplace(level(best), best);
  }
}

void PlanSearch::cut_all(double target_seconds, double target_bytes, std::optional<OwnTarget> own) {
  std::vector<Part> parts;
  for (std::size_t table = 0; table < tables_.size(); ++table) {
    if (tables_[table].sharding == Sharding::table_row_wise) {
      place_on_node(table);
      continue;
    }
    const double target = own && own->table == table ? own->seconds : target_seconds;
    const auto made = cut(table, cheapest_cut(table, target, target_bytes));
    parts.insert(parts.end(), made.begin(), made.end());
  }
  place(std::move(parts));
}

std::int64_t PlanSearch::most_rows(std::size_t table, std::int64_t cols, double seconds, double bytes) const {
  std::int64_t low = 0, high = tables_[table].rows;
  while (low < high) {
    const std::int64_t middle = low + (high - low + 1) / 2;
    const ShardCost cost = costs_[table].of({middle, cols});
    if (cost.seconds() <= seconds && (bytes <= 0 || cost.bytes() <= bytes))
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

/// Empty where no division is within the target.
std::vector<PlanSearch::Part> PlanSearch::cut_to_size(std::size_t table, double target_seconds,
                                                      double target_bytes) const {
  const TableSpec& spec = tables_[table];
  TableCut best{.row_parts = 0};
  std::int64_t best_rows = 0;
  double best_total = std::numeric_limits<double>::infinity();
  for (const TableCut& candidate : (*cuts_)[table]) {
    if (candidate.is_copy || candidate.row_parts > 2 || candidate.row_parts * candidate.column_parts == 1) continue;
    const ShardShape widest = largest_part(spec, {.column_parts = candidate.column_parts});
    const std::int64_t rows =
        candidate.row_parts == 1 ? spec.rows : most_rows(table, widest.cols, target_seconds, target_bytes);
    if (rows == 0) continue;
    const ShardCost part = costs_[table].of({rows, widest.cols});
    const auto parts = static_cast<double>(spec.rows) / static_cast<double>(rows) * candidate.column_parts;
    const bool is_within = part.seconds() <= target_seconds && (target_bytes <= 0 || part.bytes() <= target_bytes);
    if (!is_within || std::ceil(parts) > static_cast<double>(ranks_.size()) || part.seconds() * parts >= best_total)
      continue;
    best = candidate;
    best_rows = rows;
    best_total = part.seconds() * parts;
  }
  std::vector<Part> parts;
  if (best.row_parts == 0) return parts;
  for (std::int64_t c = 0; c < best.column_parts; ++c)
    for (std::int64_t left = spec.rows; left > 0; left -= std::min(left, best_rows)) {
      const std::int64_t first_col = column_at(spec, c, best.column_parts);
      parts.push_back(priced({.table = table,
                              .rows = std::min(left, best_rows),
                              .first_col = first_col,
                              .cols = column_at(spec, c + 1, best.column_parts) - first_col}));
    }
  if (std::ssize(parts) > std::ssize(ranks_)) parts.clear();
  return parts;
}

void PlanSearch::cut_to_target(double target_seconds, double target_bytes) {
  std::vector<TableCut> cuts;
  double copies_s = 0;
  for (std::size_t table = 0; table < tables_.size(); ++table) {
    cuts.push_back(cheapest_cut(table, target_seconds, target_bytes));
    if (cuts.back().is_copy) copies_s += costs_[table].of(largest_part(tables_[table], cuts.back())).seconds();
  }
  std::vector<Part> parts;
  for (std::size_t table = 0; table < tables_.size(); ++table) {
    if (tables_[table].sharding == Sharding::table_row_wise) {
      place_on_node(table);
      continue;
    }
    std::vector<Part> made;
    const bool is_divided = cuts[table].row_parts * cuts[table].column_parts > 1;
    if (is_divided && !tables_[table].sharding) made = cut_to_size(table, target_seconds - copies_s, target_bytes);
    if (made.empty()) made = cut(table, cuts[table]);
    parts.insert(parts.end(), made.begin(), made.end());
  }
  place(std::move(parts));
}

void PlanSearch::adopt(const ShardingPlan& plan) {
  for (std::size_t table = 0; table < tables_.size(); ++table)
    for (const Shard& shard : plan.tables[table].shards) {
      const auto wish = tables_[table].sharding;
      parts_.push_back(priced({.table = table,
                               .rows = shard.rows,
                               .first_col = shard.first_col,
                               .cols = shard.cols,
                               .is_copy = plan.tables[table].sharding == Sharding::data_parallel,
                               .is_fixed = plan.tables[table].sharding == Sharding::data_parallel ||
                                           wish == Sharding::row_wise || wish == Sharding::table_row_wise}));
      parts_of_table_[table].push_back(parts_.size() - 1);
      put(parts_.size() - 1, shard.rank);
    }
}

ShardingPlan PlanSearch::plan() const {
  ShardingPlan plan{static_cast<int>(ranks_.size()), std::vector<TablePlan>(tables_.size())};
  for (std::size_t table = 0; table < tables_.size(); ++table) {
    const TableSpec& spec = tables_[table];
    TablePlan& of = plan.tables[table];
    const auto divides = [&](auto extent, std::int64_t whole) {
      return std::ranges::any_of(parts_of_table_[table],
                                 [&](std::size_t part) { return parts_[part].*extent != whole; });
    };
    const bool is_copy = parts_[parts_of_table_[table].front()].is_copy;
    const bool divides_rows = divides(&Part::rows, spec.rows), divides_columns = divides(&Part::cols, spec.dim);
    // Moves change how much a part has, not where it begins: parts lie one behind the other.
    std::map<std::int64_t, std::int64_t> next_row;  // by first column
    std::int64_t next_col = 0;
    for (const std::size_t part : parts_of_table_[table]) {
      const Part& p = parts_[part];
      Shard shard{p.rank, 0, p.rows, p.first_col, p.cols};
      if (divides_rows) shard.first_row = std::exchange(next_row[p.first_col], next_row[p.first_col] + p.rows);
      if (!divides_rows && divides_columns) shard.first_col = std::exchange(next_col, next_col + p.cols);
      if (p.rows > 0 && p.cols > 0) of.shards.push_back(shard);
    }
    if (of.shards.empty())  // a table without rows
      of.shards.push_back({parts_[parts_of_table_[table].front()].rank, 0, spec.rows, 0, spec.dim});
    std::ranges::sort(of.shards, {},
                      [](const Shard& shard) { return std::tuple(shard.first_row, shard.first_col, shard.rank); });
    of.sharding = spec.sharding && *spec.sharding != Sharding::grid ? *spec.sharding
                  : is_copy                                         ? Sharding::data_parallel
                  : divides_rows && divides_columns                 ? Sharding::grid
                  : divides_rows                                    ? Sharding::row_wise
                  : divides_columns                                 ? Sharding::column_wise
                                                                    : Sharding::table_wise;
    const bool splits_rows =
        of.sharding == Sharding::row_wise || of.sharding == Sharding::table_row_wise || of.sharding == Sharding::grid;
    of.order = splits_rows && spec.hashed_rows ? RowOrder::hashed(spec.rows) : RowOrder::as_they_stand(spec.rows);
  }
  return plan;
}

}  // namespace swallowtail
