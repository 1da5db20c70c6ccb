#include "parallel/sharding/sharding_plan.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace swallowtail {

int ShardingPlan::owner(std::size_t table) const { return shards.at(table).front().rank; }

std::vector<std::size_t> ShardingPlan::tables_of(int rank) const {
  std::vector<std::size_t> tables;
  for (std::size_t table = 0; table < shards.size(); ++table)
    if (std::ranges::any_of(shards[table], [&](const Shard& shard) { return shard.rank == rank; }))
      tables.push_back(table);
  return tables;
}

ShardingPlan plan_table_wise(std::span<const TableSpec> tables, int world_size) {
  struct Load {
    std::int64_t values = 0;
    double lookups = 0;
    auto operator<=>(const Load&) const = default;
  };
  const auto load_of = [&](std::size_t table) {
    const auto& spec = tables[table];
    return Load{spec.rows * spec.dim, spec.mean_ids * static_cast<double>(spec.dim)};
  };
  std::vector<std::size_t> largest_first(tables.size());
  std::iota(largest_first.begin(), largest_first.end(), std::size_t{0});
  std::ranges::stable_sort(largest_first, [&](auto a, auto b) { return load_of(a) > load_of(b); });

  ShardingPlan plan{world_size, std::vector<std::vector<Shard>>(tables.size())};
  std::vector<Load> loads(static_cast<std::size_t>(world_size));
  for (const auto table : largest_first) {
    const auto least = std::ranges::min_element(loads, std::ranges::less{});
    const auto load = load_of(table);
    least->values += load.values;
    least->lookups += load.lookups;
    plan.shards[table] = {{static_cast<int>(least - loads.begin()), 0, tables[table].rows, 0, tables[table].dim}};
  }
  return plan;
}

std::vector<std::int64_t> bytes_per_rank(const ShardingPlan& plan, std::int64_t bytes_per_value,
                                         std::int64_t bytes_per_row) {
  std::vector<std::int64_t> bytes(static_cast<std::size_t>(plan.world_size), 0);
  for (const auto& table : plan.shards)
    for (const auto& shard : table)
      bytes[static_cast<std::size_t>(shard.rank)] += shard.rows * (shard.cols * bytes_per_value + bytes_per_row);
  return bytes;
}

}  // namespace swallowtail
