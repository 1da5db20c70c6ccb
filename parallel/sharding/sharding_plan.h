// Which rank holds which part of which embedding table. A pure function of the tables and the world size, so every rank
// makes the same plan and nothing is sent.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "parallel/sharding/table.h"

namespace swallowtail {

/// A rectangle of a table on one rank: rows [first_row, first_row + rows), columns [first_col, first_col + cols).
struct Shard {
  int rank = 0;
  std::int64_t first_row = 0, rows = 0;
  std::int64_t first_col = 0, cols = 0;
  bool operator==(const Shard&) const = default;
};

struct ShardingPlan {
  int world_size = 1;
  std::vector<std::vector<Shard>> shards;  // by table; disjoint, and together the whole table

  /// The rank that holds the whole table. Only for a table of one shard.
  int owner(std::size_t table) const;
  /// The tables of which `rank` holds a shard, in rising order.
  std::vector<std::size_t> tables_of(int rank) const;
};

/// Each table whole on one rank. Greedy, largest first: by bytes of weights, then by floats looked up a sample
/// (mean_ids * dim), then in the order given; each goes to the rank with the least of the same two, the lowest rank
/// on a tie. Within 4/3 of the best largest rank (Graham, SIAM J. Appl. Math. 1969). Some ranks own nothing where there
/// are more ranks than tables.
ShardingPlan plan_table_wise(std::span<const TableSpec> tables, int world_size);

/// Bytes of weights on each rank, with `bytes_per_value` for weight and optimizer state together (4: weights alone),
/// and `bytes_per_row` more a row (4: the accumulator of row-wise Adagrad).
std::vector<std::int64_t> bytes_per_rank(const ShardingPlan& plan, std::int64_t bytes_per_value,
                                         std::int64_t bytes_per_row = 0);

}  // namespace swallowtail
