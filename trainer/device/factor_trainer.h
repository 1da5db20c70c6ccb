// Steps of a model of two tables of factors (trainer/ranking/bpr_mf.cpp) on a device, for callers that need not know
// how. A step is start() and finish(); between them the next one's triplets are drawn and staged, so that they are on
// their way while this one is trained. The host's shards are the checkpoint's truth: they go up with upload() and come
// back with download(). One rank, whole tables. Not thread-safe.
// Errors of all calls: cuda::Failure, which on_device.h makes an Error.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "kernels/bpr.h"
#include "trainer/embedding/embedding_table.h"
#include "trainer/embedding/table_shard.h"

namespace swallowtail {

struct FactorModel {
  EmbeddingTable users, items;  // of one dim, at most kMostDim; weight_decay counts once for each row of a batch
  std::optional<EmbeddingTable> bias{};  // of the items: rows of one float
  std::int64_t negatives_each = 1;
  BprNegatives negatives = BprNegatives::all;
  /// The CPU's bits in the tables for every batch, and the samples' losses to add in the CPU's order. Else rows with
  /// more than 1,024 places in a batch are summed in pieces, and the loss in another order.
  bool is_exact = false;
  bool records_graphs = true;

  static constexpr std::int64_t kMostDim = 1024;
};

struct FactorBatch {
  std::span<const std::int64_t> users, positives;  // [B]
  std::span<const std::int64_t> negatives;         // [B, negatives_each]
  float weight = 1;                                // of each sample's loss
};

struct FactorOutcome {
  double loss = 0;                // sum over the batch of weight * loss
  std::span<const float> losses;  // [B] the same of each sample, until the next start(); is_exact only
  enum class Table : std::uint8_t { users, items, bias };
  struct Row {
    Table table;
    std::int64_t row;
  };
  /// The least row of the first table (items, bias, users) with a gradient that is not finite; it was left alone.
  std::optional<Row> bad_row{};
};

class FactorTrainer {
 public:
  virtual ~FactorTrainer() = default;
  /// shards: users, items and, if there is one, bias, whole, rows in their order.
  virtual void upload(std::span<const TableShard> shards) = 0;
  virtual void download(std::span<TableShard> shards) = 0;

  /// Packs the triplets of a step and sends them. While step n is under way: of step n + 1 alone.
  virtual void stage(std::int64_t step, const FactorBatch& batch) = 0;
  virtual bool is_staged(std::int64_t step) const = 0;
  /// Requires is_staged(step). Each table's base rate is multiplied by rate_factor.
  virtual void start(std::int64_t step, double rate_factor) = 0;
  virtual FactorOutcome finish() = 0;
  /// Steps that were replayed from a recorded graph.
  virtual std::int64_t replayed_steps() const = 0;
};

}  // namespace swallowtail
