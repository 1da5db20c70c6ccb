// Embedding tables over ranks, model-parallel: each rank holds the rows and columns that the sharding plan gives it,
// and a batch takes five steps, in this order, on every rank:
//   exchange_input     ids go to the ranks that own the rows
//   lookup             owners look rows up for the whole global batch; the vectors go back to the samples' ranks
//   (the model)        reads pooled(t), writes pooled_gradient(t)
//   exchange_gradient  gradients of the pooled vectors go to the owners
//   update             owners add duplicate rows' gradients and apply the optimizer, once a row
// Each exchange also comes in two halves, start_… and finish_…, with other work between them: start_next_input sends
// the next batch's ids while this one is trained. Every rank calls the same functions in the same order. An owner sees
// the samples of the global batch in their global order whatever the number of ranks. Where a table's rows are divided,
// `exact` exchanges the rows of a bag one by one and pools them where the sample lives, in bag order: then no sharding
// and no world size changes a bit of the result. Without it owners pool what they hold (a sum over parts, equal up to
// rounding) and a stream's repeated rows travel once where that is fewer bytes. Not thread-safe; one instance a rank.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/huge_pages.h"
#include "kernels/weight_average.h"
#include "kernels/wire.h"
#include "parallel/communicator.h"
#include "parallel/sharding/sharding_plan.h"
#include "trainer/data/batch.h"
#include "trainer/embedding/embedding_table.h"
#include "trainer/embedding/exchange.h"
#include "trainer/embedding/id_exchange.h"
#include "trainer/embedding/shard_layout.h"
#include "trainer/embedding/table_shard.h"

namespace swallowtail {

struct EmbeddingOptions {
  std::uint64_t seed = 1;
  std::string all_to_all = "library";
  std::shared_ptr<const CostModel> costs{};  // for all_to_all: auto
  double average_decay = 0;                  // 0: no weight average
  bool exact = true;                         // the same bits under every plan; off: fewer bytes
  bool overlap = true;                       // exchanges are under way between their halves
  Wire forward = Wire::fp32, backward = Wire::fp32;
};

class ShardedEmbedding {
 public:
  ShardedEmbedding(std::vector<EmbeddingTable> tables, ShardingPlan plan, EmbeddingOptions options,
                   Communicator& ranks);

  std::span<const EmbeddingTable> tables() const noexcept { return tables_; }
  const ShardingPlan& plan() const noexcept { return plan_; }
  const ShardLayout& layout() const noexcept { return layout_; }
  const EmbeddingOptions& options() const noexcept { return options_; }
  /// What this rank holds, by table. Copies of data-parallel tables are on every rank.
  std::span<TableShard> shards() noexcept { return shards_; }

  /// From now on the ranks' devices look rows up, shuffle vectors and update (trainer/device): of the steps above only
  /// exchange_input stays, and each owner gets a bag of every sample of the global batch, and every id. Called by every
  /// rank before its first batch.
  void hand_over_to_devices();
  /// Whether the row-wise optimizer statistic of a table spans the columns of several ranks.
  bool splits_row_statistic(std::int64_t table) const;
  /// The ids of the current batch, once exchange_input() has returned.
  const IdExchange& input() const noexcept { return current_; }
  /// Counts what the devices have sent to other ranks, and for how long that held the host up.
  void count_exchange(std::int64_t bytes, double seconds) noexcept { exchange_.count(bytes, seconds); }

  /// `batch` is this rank's part of the global batch and outlives exchange_gradient; `batch_sizes` [world_size] are all
  /// ranks' parts. `for_update`: the batch will be trained on.
  void exchange_input(const Batch& batch, std::span<const std::int64_t> batch_sizes, std::int64_t step,
                      bool for_update = true);
  /// The same for the batch after the current one. exchange_input() with the same step and the same batch (wherever it
  /// has been moved to) then only waits for it. send_next_ids() moves it on at a point that all ranks pass: in the
  /// middle of the other work.
  void start_next_input(const Batch& batch, std::span<const std::int64_t> batch_sizes, std::int64_t step);
  void send_next_ids();
  /// Waits for the next input, which will not be trained. Every rank does.
  void drop_next_input();
  /// `averaged`: looks up the averaged weights, which settle() has brought up to date.
  void lookup(bool averaged = false) {
    start_lookup(averaged);
    finish_lookup();
  }
  void start_lookup(bool averaged = false);
  void finish_lookup();
  /// [B_local, dim of t], or [ids, dim] without pooling; valid until the next lookup.
  std::span<float> pooled(std::int64_t table) { return part(pooled_, table); }
  /// The same shape; to be written by the model's backward, all of it, valid until update.
  std::span<float> pooled_gradient(std::int64_t table) { return part(gradient_, table); }
  void exchange_gradient() {
    start_gradient();
    finish_gradient();
  }
  void start_gradient();
  void finish_gradient() { exchange_.wait(*backward_pending_); }
  /// Moves whatever is under way on without waiting.
  void progress();
  /// One optimizer step on the rows of this batch; each table's base rate is multiplied by `rate_factor`.
  /// `step` counts from 1. Collective where a row-wise statistic spans column shards. Errors: numbers, naming table and
  /// row, where a row's gradient is not finite.
  void update(std::int64_t step, float rate_factor);
  /// Brings every row's average up to `step` (rows that no batch touched lag behind on purpose).
  void settle(std::int64_t step);

  /// Bytes sent to other ranks, and seconds for which exchanges held this rank up, since this was made.
  std::int64_t bytes_sent() const noexcept { return exchange_.bytes_sent(); }
  double exposed_seconds() const noexcept { return exchange_.exposed_seconds(); }
  /// How the exchanges choose, and what the pooled vectors of the last batch took.
  const AllToAll& all_to_all() const noexcept { return exchange_.all_to_all(); }
  std::string_view pooled_algorithm() const { return all_to_all().chosen(forward_.expected_a_peer).name; }

 private:
  std::span<float> part(HugeVector<float>& of, std::int64_t table) {
    return std::span(of).subspan(static_cast<std::size_t>(table_start_[table]),
                                 static_cast<std::size_t>(table_start_[table + 1] - table_start_[table]));
  }
  Unit forward_unit(const HeldShard& held, bool is_distinct) const;
  Unit gradient_unit(const HeldShard& held, bool is_distinct) const;
  const IdStream& stream_of(int owner, const HeldShard& held) const;
  bool stays_here(const HeldShard& held, Unit unit, Wire wire) const;
  void size_vectors();
  std::int64_t vector_bytes_a_peer(Wire wire) const;
  void look_up_own();
  void place_arrived(int owner, const HeldShard& held, const float* vectors);
  void pool_arrived_rows();
  void gather_gradient(int owner, const HeldShard& held, float* vectors) const;
  struct Workspace {  // of one thread's update
    RowGroups groups;
    std::vector<const float*> gradients;  // [bags]
    std::vector<float> decoded;
  };
  OptimizerStep optimizer_of(const HeldShard& held, std::int64_t step, float rate_factor) const;
  void group_gradients(std::size_t own, std::span<const std::int64_t> offsets, Workspace& work) const;
  void update_all(std::span<const std::size_t> own, std::span<const std::vector<std::int64_t>> offsets,
                  std::int64_t step, float rate_factor);
  std::vector<std::vector<float>> exchange_squares(std::span<const std::size_t> split,
                                                   std::span<const SplitRowUpdate> updates);

  std::vector<EmbeddingTable> tables_;
  ShardingPlan plan_;
  EmbeddingOptions options_;
  ShardLayout layout_;
  Exchange exchange_;
  DistinctStreams distinct_;
  IdExchange current_, next_;
  std::optional<Averaging> averaging_;

  std::vector<TableShard> shards_;         // as layout_.shards of this rank
  std::vector<std::int64_t> table_start_;  // [tables + 1] first float within pooled_ and gradient_
  HugeVector<float> pooled_, gradient_;    // [table][B_local or ids, dim]
  bool averaged_ = false;                  // of the lookup under way
  Traffic forward_, backward_, squares_;   // the bytes in the order [rank][shard there]
  std::unique_ptr<Pending> forward_pending_, backward_pending_;
  std::vector<float> scratch_;  // one shard's vectors between arithmetic and wire
  /// Exact mode: where the rows of a bag arrived, by table that needs it, [ids of its feature].
  std::vector<std::vector<const float*>> arrived_rows_;
  std::vector<float> arrived_;         // decoded rows that arrived_rows_ points to
  std::vector<Workspace> workspaces_;  // [thread]
};

}  // namespace swallowtail
