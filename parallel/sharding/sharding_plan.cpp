#include "parallel/sharding/sharding_plan.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

namespace swallowtail {

namespace {

constexpr std::array kNames{std::pair{Sharding::table_wise, std::string_view("table_wise")},
                            std::pair{Sharding::row_wise, std::string_view("row_wise")},
                            std::pair{Sharding::column_wise, std::string_view("column_wise")},
                            std::pair{Sharding::table_row_wise, std::string_view("table_row_wise")},
                            std::pair{Sharding::data_parallel, std::string_view("data_parallel")},
                            std::pair{Sharding::grid, std::string_view("grid")}};

struct Load {
  std::int64_t values = 0;
  double lookups = 0;
  auto operator<=>(const Load&) const = default;
  Load& operator+=(const Load& more) {
    values += more.values;
    lookups += more.lookups;
    return *this;
  }
};

/// Places one table after the other on the ranks that have least.
class Placer {
 public:
  explicit Placer(std::span<const int> node_of) : node_of_(node_of), loads_(node_of.size()) {}

  std::vector<Shard> place(const TableSpec& table, Sharding sharding) {
    const auto ranks = static_cast<int>(node_of_.size());
    std::vector<int> all(node_of_.size());
    std::iota(all.begin(), all.end(), 0);
    switch (sharding) {
      case Sharding::grid:  // only the planner divides both ways
      case Sharding::table_wise:
        return {add(table, least(), 0, table.rows, 0, table.dim)};
      case Sharding::row_wise:
        return by_rows(table, all);
      case Sharding::table_row_wise:
        return by_rows(table, least_node());
      case Sharding::column_wise: {
        const std::int64_t blocks = (table.dim + kColumnBlock - 1) / kColumnBlock;
        const std::int64_t parts = std::clamp<std::int64_t>(blocks, 1, ranks);
        std::vector<Shard> shards;
        std::vector<bool> taken(node_of_.size(), false);
        for (std::int64_t part = 0; part < parts; ++part) {
          const std::int64_t first = std::min(table.dim, blocks * part / parts * kColumnBlock);
          const std::int64_t end = std::min(table.dim, blocks * (part + 1) / parts * kColumnBlock);
          const int rank = least(&taken);
          taken[static_cast<std::size_t>(rank)] = true;
          shards.push_back(add(table, rank, 0, table.rows, first, end - first));
        }
        return shards;
      }
      case Sharding::data_parallel: {
        std::vector<Shard> shards;
        for (const int rank : all) shards.push_back(add(table, rank, 0, table.rows, 0, table.dim));
        return shards;
      }
    }
    return {};
  }

 private:
  int least(const std::vector<bool>* taken = nullptr) const {
    int best = -1;
    for (std::size_t rank = 0; rank < loads_.size(); ++rank)
      if (!(taken && (*taken)[rank]) && (best < 0 || loads_[rank] < loads_[static_cast<std::size_t>(best)]))
        best = static_cast<int>(rank);
    return best;
  }

  /// The ranks of the machine with the least load a rank.
  std::vector<int> least_node() const {
    std::vector<int> best;
    Load best_load;
    for (int node = 0; node <= std::ranges::max(node_of_); ++node) {
      std::vector<int> ranks;
      Load load;
      for (std::size_t rank = 0; rank < node_of_.size(); ++rank)
        if (node_of_[rank] == node) {
          ranks.push_back(static_cast<int>(rank));
          load += loads_[rank];
        }
      if (ranks.empty()) continue;
      load = {load.values / std::ssize(ranks), load.lookups / static_cast<double>(ranks.size())};
      if (best.empty() || load < best_load) {
        best = ranks;
        best_load = load;
      }
    }
    return best;
  }

  std::vector<Shard> by_rows(const TableSpec& table, const std::vector<int>& ranks) {
    std::vector<Shard> shards;
    const std::int64_t parts = std::ssize(ranks);
    for (std::int64_t part = 0; part < parts; ++part) {
      const std::int64_t first = table.rows * part / parts, end = table.rows * (part + 1) / parts;
      if (first < end)
        shards.push_back(add(table, ranks[static_cast<std::size_t>(part)], first, end - first, 0, table.dim));
    }
    if (shards.empty()) shards.push_back(add(table, ranks.front(), 0, 0, 0, table.dim));
    return shards;
  }

  Shard add(const TableSpec& table, int rank, std::int64_t first_row, std::int64_t rows, std::int64_t first_col,
            std::int64_t cols) {
    const double share = table.rows > 0 ? static_cast<double>(rows) / static_cast<double>(table.rows) : 0;
    loads_[static_cast<std::size_t>(rank)] += {rows * cols, table.mean_ids * static_cast<double>(cols) * share};
    return {rank, first_row, rows, first_col, cols};
  }

  std::span<const int> node_of_;
  std::vector<Load> loads_;
};

bool splits_rows(Sharding sharding) { return sharding == Sharding::row_wise || sharding == Sharding::table_row_wise; }

}  // namespace

std::string_view name_of(Sharding sharding) noexcept {
  return std::ranges::find(kNames, sharding, &decltype(kNames)::value_type::first)->second;
}

std::optional<Sharding> parse_sharding(std::string_view name) noexcept {
  const auto found = std::ranges::find(kNames, name, &decltype(kNames)::value_type::second);
  return found == kNames.end() ? std::nullopt : std::optional(found->first);
}

std::vector<std::size_t> ShardingPlan::tables_of(int rank) const {
  std::vector<std::size_t> found;
  for (std::size_t table = 0; table < tables.size(); ++table)
    if (shard_on(rank, table)) found.push_back(table);
  return found;
}

const Shard* ShardingPlan::shard_on(int rank, std::size_t table) const {
  const auto& shards = tables.at(table).shards;
  const auto found = std::ranges::find(shards, rank, &Shard::rank);
  return found == shards.end() ? nullptr : &*found;
}

ShardingPlan plan_as_asked(std::span<const TableSpec> tables, std::span<const int> node_of) {
  const auto load_of = [&](std::size_t table) {
    const auto& spec = tables[table];
    return Load{spec.rows * spec.dim, spec.mean_ids * static_cast<double>(spec.dim)};
  };
  std::vector<std::size_t> largest_first(tables.size());
  std::iota(largest_first.begin(), largest_first.end(), std::size_t{0});
  std::ranges::stable_sort(largest_first, [&](auto a, auto b) { return load_of(a) > load_of(b); });

  ShardingPlan plan{static_cast<int>(node_of.size()), std::vector<TablePlan>(tables.size())};
  Placer placer(node_of);
  for (const auto table : largest_first) {
    const TableSpec& spec = tables[table];
    const Sharding sharding = spec.sharding.value_or(Sharding::table_wise);
    const bool hashed = spec.hashed_rows && splits_rows(sharding);
    plan.tables[table] = {sharding, hashed ? RowOrder::hashed(spec.rows) : RowOrder::as_they_stand(spec.rows),
                          placer.place(spec, sharding)};
  }
  return plan;
}

std::vector<std::int64_t> bytes_per_rank(const ShardingPlan& plan, std::int64_t bytes_per_value,
                                         std::int64_t bytes_per_row) {
  std::vector<std::int64_t> bytes(static_cast<std::size_t>(plan.world_size), 0);
  for (const auto& table : plan.tables)
    for (const auto& shard : table.shards)
      bytes[static_cast<std::size_t>(shard.rank)] += shard.rows * (shard.cols * bytes_per_value + bytes_per_row);
  return bytes;
}

}  // namespace swallowtail
