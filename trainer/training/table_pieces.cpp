#include "trainer/training/table_pieces.h"

#include <fmt/format.h>

#include "trainer/checkpoint/table_piece.h"

namespace swallowtail {

namespace {

/// One array of a shard: each row holds `planes` runs of the shard's columns (Adam: two), or one value of its own.
struct Array {
  const char* name;
  std::span<std::byte> bytes;
  std::int64_t element_bytes;
  std::int64_t planes;  // 0: one value a row
  std::int64_t row_elements(std::int64_t cols) const { return planes == 0 ? 1 : planes * cols; }
};

std::vector<Array> arrays_of(const EmbeddingTable& table, TableShard& shard) {
  const auto bytes = [](auto& values) { return std::as_writable_bytes(std::span(values)); };
  std::vector<Array> arrays{{"weights", bytes(shard.weights), sizeof(float), 1}};
  if (table.optimizer.kind == Optimizer::rowwise_adagrad)
    arrays.push_back({"optimizer_state", bytes(shard.state), sizeof(float), 0});
  else if (table.optimizer.kind != Optimizer::sgd)
    arrays.push_back(
        {"optimizer_state", bytes(shard.state), sizeof(float), sparse_state_width(table.optimizer.kind, 1)});
  if (!shard.average_step.empty() || !shard.average.empty()) {
    arrays.push_back({"average", bytes(shard.average), sizeof(float), 1});
    arrays.push_back({"average_step", bytes(shard.average_step), sizeof(std::int64_t), 0});
  }
  return arrays;
}

TablePiece piece_of(const EmbeddingTable& table, const TableShard& shard, const Array& array) {
  return {table.name, array.name, table.rows, table.dim, !shard.order.is_identity(), shard.shard, array.planes};
}

}  // namespace

std::vector<TensorRef> table_pieces(ShardedEmbedding& embedding, int rank) {
  std::vector<TensorRef> tensors;
  for (TableShard& shard : embedding.shards()) {
    const EmbeddingTable& table = embedding.tables()[shard.table];
    if (embedding.plan().tables[shard.table].sharding == Sharding::data_parallel && rank != 0) continue;
    for (const Array& array : arrays_of(table, shard)) {
      const Shard& part = shard.shard;
      tensors.push_back(
          {fmt::format("embedding/{}/{}@{},{},{},{},{}", table.name, array.name, shard.order.is_identity() ? 'b' : 'h',
                       part.first_row, part.rows, part.first_col, part.cols),
           array.element_bytes == 8 ? "I64" : "F32",
           {part.rows, array.row_elements(part.cols)},
           array.bytes,
           piece_of(table, shard, array)});
    }
  }
  return tensors;
}

void restore_tables(const Checkpoint& checkpoint, ShardedEmbedding& embedding) {
  for (TableShard& shard : embedding.shards()) {
    const EmbeddingTable& table = embedding.tables()[shard.table];
    for (const Array& array : arrays_of(table, shard))
      fill_table_part(checkpoint, piece_of(table, shard, array), array.element_bytes, array.bytes);
  }
}

}  // namespace swallowtail
