#include "trainer/training/table_pieces.h"

#include <fmt/format.h>

#include <cstring>
#include <numeric>
#include <optional>

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

std::string name_of_piece(const EmbeddingTable& table, const TableShard& shard, const char* array) {
  const Shard& part = shard.shard;
  return fmt::format("embedding/{}/{}@{},{},{},{},{}", table.name, array, shard.order.is_identity() ? 'b' : 'h',
                     part.first_row, part.rows, part.first_col, part.cols);
}

/// Of a copied table rank 0 saves the one copy.
bool is_saved_here(const ShardedEmbedding& embedding, const TableShard& shard, int rank) {
  return rank == 0 || embedding.plan().tables[shard.table].sharding != Sharding::data_parallel;
}

}  // namespace

std::vector<TensorRef> table_pieces(ShardedEmbedding& embedding, int rank) {
  std::vector<TensorRef> tensors;
  for (TableShard& shard : embedding.shards()) {
    const EmbeddingTable& table = embedding.tables()[shard.table];
    if (!is_saved_here(embedding, shard, rank)) continue;
    for (const Array& array : arrays_of(table, shard))
      tensors.push_back({name_of_piece(table, shard, array.name),
                         array.element_bytes == 8 ? "I64" : "F32",
                         {shard.shard.rows, array.row_elements(shard.shard.cols)},
                         array.bytes,
                         piece_of(table, shard, array)});
  }
  return tensors;
}

ChangedRows changed_table_rows(ShardedEmbedding& embedding, int rank) {
  ChangedRows changed;
  for (TableShard& shard : embedding.shards()) {
    const EmbeddingTable& table = embedding.tables()[shard.table];
    if (!is_saved_here(embedding, shard, rank)) continue;
    std::vector<std::int64_t> rows;
    for (std::size_t row = 0; row < shard.changed.size(); ++row)
      if (shard.changed[row] != 0) rows.push_back(static_cast<std::int64_t>(row));
    const auto count = static_cast<std::int64_t>(rows.size());
    const std::string list = name_of_piece(table, shard, "rows");
    const auto keep = [&](std::string name, const char* dtype, std::vector<std::int64_t> shape,
                          std::vector<std::byte> bytes, std::optional<TablePiece> piece) {
      changed.bytes.push_back(std::move(bytes));  // the vectors may move, what they hold stays
      changed.tensors.push_back({std::move(name), dtype, std::move(shape), changed.bytes.back(), std::move(piece)});
    };
    const auto listed = std::as_bytes(std::span(rows));
    keep(list, "I64", {count}, {listed.begin(), listed.end()}, {});
    for (const Array& array : arrays_of(table, shard)) {
      const std::int64_t row_bytes = array.row_elements(shard.shard.cols) * array.element_bytes;
      std::vector<std::byte> gathered(static_cast<std::size_t>(count * row_bytes));
      for (std::int64_t i = 0; i < count; ++i)
        std::memcpy(gathered.data() + i * row_bytes, array.bytes.data() + rows[static_cast<std::size_t>(i)] * row_bytes,
                    static_cast<std::size_t>(row_bytes));
      TablePiece piece = piece_of(table, shard, array);
      piece.rows_in = list;
      keep(name_of_piece(table, shard, array.name), array.element_bytes == 8 ? "I64" : "F32",
           {count, array.row_elements(shard.shard.cols)}, std::move(gathered), std::move(piece));
    }
  }
  return changed;
}

void forget_changes(ShardedEmbedding& embedding) {
  for (TableShard& shard : embedding.shards()) shard.changed.assign(static_cast<std::size_t>(shard.shard.rows), 0);
}

std::pair<std::int64_t, std::int64_t> count_changes(ShardedEmbedding& embedding) {
  std::int64_t changed = 0, all = 0;
  for (const TableShard& shard : embedding.shards()) {
    changed += std::accumulate(shard.changed.begin(), shard.changed.end(), std::int64_t{0});
    all += shard.shard.rows;
  }
  return {changed, all};
}

void restore_tables(const Checkpoint& checkpoint, ShardedEmbedding& embedding) {
  for (TableShard& shard : embedding.shards()) {
    const EmbeddingTable& table = embedding.tables()[shard.table];
    for (const Array& array : arrays_of(table, shard))
      fill_table_part(checkpoint, piece_of(table, shard, array), array.element_bytes, array.bytes);
  }
}

}  // namespace swallowtail
