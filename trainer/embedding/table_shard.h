// The part of a table that this rank holds, and its update.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/embedding.h"
#include "kernels/huge_pages.h"
#include "kernels/weight_average.h"
#include "parallel/sharding/sharding_plan.h"
#include "trainer/embedding/embedding_table.h"

namespace swallowtail {

/// fp32 arrays, row-major. Row i is the row at position shard.first_row + i of the order; columns are the shard's.
struct TableShard {
  std::int64_t table = 0;  // index among the model's tables
  Shard shard;
  RowOrder order;
  TableVector<float> weights;              // [rows, cols]
  TableVector<float> state;                // [rows, sparse_state_width(cols)]
  TableVector<float> average;              // [rows, cols], or empty without averaging
  TableVector<std::int64_t> average_step;  // [rows] the step up to which `average` is true
  /// [rows] 1 where anything of the row changed since these were set to 0, for incremental checkpoints; empty: nobody
  /// asks.
  std::vector<std::uint8_t> changed;

  std::int64_t row_at(std::int64_t i) const noexcept { return order.row_at(shard.first_row + i); }
};

/// A shard with its first values: each a function of (seed, table, row, column), so that no division changes them.
TableShard make_shard(const EmbeddingTable& table, std::int64_t index, const Shard& shard, const RowOrder& order,
                      std::uint64_t seed, bool averaging);

/// One optimizer step on the rows of `groups`, which are this shard's. bag_gradients: as in row_gradient. Not for
/// rowwise_adagrad where the row's columns lie on several ranks: SplitRowUpdate.
/// Errors: numbers, naming table and row, where a gradient is not finite; that row is left alone.
void update_shard(const EmbeddingTable& table, TableShard& shard, const OptimizerStep& step,
                  const std::optional<Averaging>& averaging, const RowGroups& groups,
                  std::span<const float* const> bag_gradients);

/// Errors: always numbers: the gradient of the table's row is not finite.
[[noreturn]] void refuse_row(const EmbeddingTable& table, std::int64_t row, std::int64_t step);

/// The same in two parts, because row-wise Adagrad needs the squares of columns that lie elsewhere: the gradients of
/// the touched rows wait for them.
class SplitRowUpdate {
 public:
  /// Gathers the gradients of all rows of `groups` and adds the L2 decay.
  void gather(const EmbeddingTable& table, TableShard& shard, const OptimizerStep& step, const RowGroups& groups,
              std::span<const float* const> bag_gradients);
  /// [touched rows, square_count(cols)]
  std::vector<float> squares(const TableShard& shard) const;
  /// Applies the optimizer. `squares` [touched rows, square_count(dim)] of the whole rows. Errors: as update_shard.
  void apply(const EmbeddingTable& table, TableShard& shard, const OptimizerStep& step,
             const std::optional<Averaging>& averaging, std::span<const float> squares);
  std::int64_t touched() const noexcept { return static_cast<std::int64_t>(rows_.size()); }

 private:
  std::vector<std::int64_t> rows_;  // [touched] within the shard, rising
  std::vector<float> gradients_;    // [touched, cols]
};

/// Brings every row's average up to `step`.
void settle(TableShard& shard, const Averaging& averaging, std::int64_t step);

}  // namespace swallowtail
