// Which rank holds which part of which embedding table. A pure function of the tables and the ranks' machines, so every
// rank makes the same plan and nothing is sent.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "parallel/sharding/row_order.h"
#include "parallel/sharding/table.h"

namespace swallowtail {

/// Column shards begin at multiples of this, so that sums over columns may be made of the same pieces in any plan
/// (kernels/optimizer.h, row-wise Adagrad).
inline constexpr std::int64_t kColumnBlock = 4;

/// A rectangle of a table on one rank: positions [first_row, first_row + rows) of its RowOrder, columns
/// [first_col, first_col + cols).
struct Shard {
  int rank = 0;
  std::int64_t first_row = 0, rows = 0;
  std::int64_t first_col = 0, cols = 0;
  bool operator==(const Shard&) const = default;
};

struct TablePlan {
  Sharding sharding = Sharding::table_wise;
  RowOrder order;
  /// Disjoint, and together the whole table; at most one a rank. data_parallel: the whole table once a rank, in the
  /// order of ranks. By first_row, then first_col.
  std::vector<Shard> shards;
};

struct ShardingPlan {
  int world_size = 1;
  std::vector<TablePlan> tables;

  /// The tables of which `rank` holds a shard, in rising order.
  std::vector<std::size_t> tables_of(int rank) const;
  /// The shard of `table` on `rank`, null where there is none.
  const Shard* shard_on(int rank, std::size_t table) const;
};

/// Tables placed as TableSpec::sharding asks; those without a wish go table-wise. Greedy, largest first: by bytes of
/// weights, then by floats looked up a sample (mean_ids * dim), then in the order given; each goes to the rank (or
/// machine, or column by column to the ranks) with the least of the same two, the lowest on a tie. Whole tables alone:
/// within 4/3 of the best largest rank (Graham, SIAM J. Appl. Math. 1969). Some ranks own nothing where there are more
/// ranks than parts. node_of [world_size]: the machine of each rank.
ShardingPlan plan_as_asked(std::span<const TableSpec> tables, std::span<const int> node_of);

/// Bytes of weights on each rank, with `bytes_per_value` for weight and optimizer state together (4: weights alone),
/// and `bytes_per_row` more a row (4: the accumulator of row-wise Adagrad).
std::vector<std::int64_t> bytes_per_rank(const ShardingPlan& plan, std::int64_t bytes_per_value,
                                         std::int64_t bytes_per_row = 0);

}  // namespace swallowtail
