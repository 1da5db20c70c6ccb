// Embedding tables as tensors of a checkpoint: each shard's arrays are pieces that say which rows and columns they
// hold, so that a run with another plan, or on another number of ranks, finds its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "trainer/checkpoint/checkpoint.h"
#include "trainer/checkpoint/save.h"
#include "trainer/embedding/sharded_embedding.h"

namespace swallowtail {

/// The rows of this rank's shards that changed, gathered: `bytes` holds what `tensors` borrow.
struct ChangedRows {
  std::vector<TensorRef> tensors;
  std::vector<std::vector<std::byte>> bytes;
};
ChangedRows changed_table_rows(ShardedEmbedding& embedding, int rank);

/// From now on changes count from here (incremental checkpoints).
void forget_changes(ShardedEmbedding& embedding);
/// Rows of this rank's shards that changed, and all of them.
std::pair<std::int64_t, std::int64_t> count_changes(ShardedEmbedding& embedding);

/// The arrays of this rank's shards, borrowed. Copies of a data-parallel table are saved once, by rank 0.
std::vector<TensorRef> table_pieces(ShardedEmbedding& embedding, int rank);

/// Fills this rank's shards. Errors: damaged where rows or columns are missing.
void restore_tables(const Checkpoint& checkpoint, ShardedEmbedding& embedding);

}  // namespace swallowtail
