// Embedding tables over ranks, model-parallel: each rank holds the rows that the sharding plan gives it, and a batch
// takes five steps, in this order, on every rank:
//   exchange_input     ids go to the ranks that own the rows
//   lookup             owners pool rows for the whole global batch; pooled vectors go back to the samples' ranks
//   (the model)        reads pooled(t), writes pooled_gradient(t)
//   exchange_gradient  gradients of the pooled vectors go to the owners
//   update             owners add duplicate rows' gradients and apply the optimizer, once a row
// The owner sees the samples of the global batch in their global order whatever the number of ranks, so sharding and
// world size do not change a bit of the result. Not thread-safe; one instance a rank.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/weight_average.h"
#include "parallel/communicator.h"
#include "parallel/sharding/sharding_plan.h"
#include "trainer/data/batch.h"
#include "trainer/embedding/embedding_table.h"

namespace swallowtail {

/// The part of a table that this rank holds: fp32 arrays, row-major.
struct TableShard {
  std::int64_t table = 0;                  // index into tables()
  std::vector<float> weights;              // [rows, dim]
  std::vector<float> state;                // [rows, sparse_state_width]
  std::vector<float> average;              // [rows, dim], or empty without averaging
  std::vector<std::int64_t> average_step;  // [rows] the step up to which `average` is true
};

struct EmbeddingOptions {
  std::uint64_t seed = 1;
  std::string all_to_all = "library";
  double average_decay = 0;  // 0: no weight average
};

class ShardedEmbedding {
 public:
  ShardedEmbedding(std::vector<EmbeddingTable> tables, ShardingPlan plan, EmbeddingOptions options,
                   Communicator& ranks);

  std::span<const EmbeddingTable> tables() const noexcept { return tables_; }
  std::span<TableShard> shards() noexcept { return shards_; }

  /// `batch` is this rank's part of the global batch; `batch_sizes` [world_size] are all ranks' parts.
  void exchange_input(const Batch& batch, std::span<const std::int64_t> batch_sizes, std::int64_t step);
  /// `averaged`: looks up the averaged weights, which settle() has brought up to date.
  void lookup(bool averaged = false);
  /// [B_local, dim of t], valid until the next lookup.
  std::span<float> pooled(std::int64_t table);
  /// [B_local, dim of t], to be written by the model's backward, valid until exchange_gradient.
  std::span<float> pooled_gradient(std::int64_t table);
  void exchange_gradient();
  /// One optimizer step on the rows of this batch; each table's base rate is multiplied by `rate_factor`.
  /// `step` counts from 1. Errors: numbers, naming table and row, where a row's gradient is not finite.
  void update(std::int64_t step, float rate_factor);
  /// Brings every row's average up to `step` (rows that no batch touched lag behind on purpose).
  void settle(std::int64_t step);

  /// Bytes sent by this rank in the last batch's exchanges.
  std::int64_t bytes_sent() const noexcept { return bytes_sent_; }
  /// Seconds that this rank spent in exchanges since it was made.
  double exchange_seconds() const noexcept { return exchange_seconds_; }

 private:
  struct FeatureBags {  // ids of one feature for the whole global batch, on an owner
    std::int64_t feature = 0;
    JaggedIds ids;
  };
  void all_to_all(const char* operation, std::span<const std::byte> send, std::span<const std::int64_t> send_bytes,
                  std::span<std::byte> recv, std::span<const std::int64_t> recv_bytes);
  void receive_features(std::span<const std::byte> payload, std::span<const std::int64_t> counts,
                        std::span<const std::int64_t> source_offsets);
  const JaggedIds& bags_of(std::int64_t feature) const;
  std::int64_t owned_width() const;

  std::vector<EmbeddingTable> tables_;
  ShardingPlan plan_;
  EmbeddingOptions options_;
  Communicator& ranks_;
  std::optional<Averaging> averaging_;
  std::uint64_t layout_hash_ = 0;  // names, rows, dims and owners: must agree over ranks

  std::vector<TableShard> shards_;                      // tables owned by this rank, rising
  std::vector<std::vector<std::int64_t>> tables_of_;    // [rank] tables owned, rising
  std::vector<std::vector<std::int64_t>> features_of_;  // [rank] features needed there, rising
  std::vector<std::int64_t> width_of_;                  // [rank] sum of dims owned there

  std::int64_t step_ = 0, local_batch_ = 0, bytes_sent_ = 0;
  double exchange_seconds_ = 0;
  std::vector<std::int64_t> batch_sizes_, batch_starts_;  // [P], [P + 1]
  std::vector<FeatureBags> bags_;
  std::vector<float> owner_buffer_;         // [source rank][owned table][B_r, dim]: pooled to send, gradients received
  std::vector<float> pooled_, gradient_;    // [owner rank][its table][B_local, dim]
  std::vector<std::int64_t> pooled_start_;  // [table] first float within pooled_ and gradient_
  RowGroups groups_;
};

}  // namespace swallowtail
