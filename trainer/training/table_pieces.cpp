#include "trainer/training/table_pieces.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "parallel/error.h"

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

std::string prefix(const EmbeddingTable& table, const Array& array) {
  return fmt::format("embedding/{}/{}@", table.name, array.name);
}

struct Piece {
  std::string name;
  RowOrder order;
  Shard shard;
};

Piece parse_piece(const std::string& name, std::size_t prefix_size, std::int64_t table_rows) {
  Piece piece{name, RowOrder::as_they_stand(table_rows), {}};
  const auto bad = [&] {
    return Error{ExitCode::damaged, "a tensor's name does not say which rows and columns it holds", name,
                 "take an older checkpoint"};
  };
  const char *at = name.data() + prefix_size, *const end = name.data() + name.size();
  if (at == end || (*at != 'h' && *at != 'b')) throw bad();
  if (*at++ == 'h') piece.order = RowOrder::hashed(table_rows);
  for (std::int64_t* field : {&piece.shard.first_row, &piece.shard.rows, &piece.shard.first_col, &piece.shard.cols}) {
    if (at == end || *at++ != ',') throw bad();
    const auto [next, error] = std::from_chars(at, end, *field);
    if (error != std::errc() || *field < 0) throw bad();
    at = next;
  }
  if (at != end || piece.shard.first_row + piece.shard.rows > table_rows) throw bad();
  return piece;
}

/// Copies what `piece` holds of `shard`; returns the number of its rows' columns that were filled.
std::int64_t copy_overlap(const Piece& piece, const Array& from, const TableShard& to, const Array& array) {
  const std::int64_t first_col = std::max(piece.shard.first_col, to.shard.first_col);
  const std::int64_t end_col = std::min(piece.shard.first_col + piece.shard.cols, to.shard.first_col + to.shard.cols);
  if (first_col >= end_col) return 0;
  const std::int64_t cols = end_col - first_col, size = array.element_bytes;
  const std::int64_t from_row_bytes = from.row_elements(piece.shard.cols) * size,
                     to_row_bytes = array.row_elements(to.shard.cols) * size;
  std::int64_t copied = 0;
  for (std::int64_t i = 0; i < to.shard.rows; ++i) {
    const std::int64_t row = piece.order.position(to.row_at(i)) - piece.shard.first_row;
    if (row < 0 || row >= piece.shard.rows) continue;
    copied += cols;
    const std::byte* source = from.bytes.data() + row * from_row_bytes;
    std::byte* target = array.bytes.data() + i * to_row_bytes;
    if (array.planes == 0) std::memcpy(target, source, static_cast<std::size_t>(size));
    for (std::int64_t plane = 0; plane < array.planes; ++plane)
      std::memcpy(target + (plane * to.shard.cols + first_col - to.shard.first_col) * size,
                  source + (plane * piece.shard.cols + first_col - piece.shard.first_col) * size,
                  static_cast<std::size_t>(cols * size));
  }
  return copied;
}

}  // namespace

std::vector<TensorRef> table_pieces(ShardedEmbedding& embedding, int rank) {
  std::vector<TensorRef> tensors;
  for (TableShard& shard : embedding.shards()) {
    const EmbeddingTable& table = embedding.tables()[shard.table];
    if (embedding.plan().tables[shard.table].sharding == Sharding::data_parallel && rank != 0) continue;
    for (const Array& array : arrays_of(table, shard))
      tensors.push_back({fmt::format("{}{},{},{},{},{}", prefix(table, array), shard.order.is_identity() ? 'b' : 'h',
                                     shard.shard.first_row, shard.shard.rows, shard.shard.first_col, shard.shard.cols),
                         array.element_bytes == 8 ? "I64" : "F32",
                         {shard.shard.rows, array.row_elements(shard.shard.cols)},
                         array.bytes});
  }
  return tensors;
}

void restore_tables(const Checkpoint& checkpoint, ShardedEmbedding& embedding) {
  std::vector<std::byte> buffer;
  for (TableShard& shard : embedding.shards()) {
    const EmbeddingTable& table = embedding.tables()[shard.table];
    for (const Array& array : arrays_of(table, shard)) {
      std::int64_t filled = 0;
      const std::string start = prefix(table, array);
      for (const std::string& name : checkpoint.names(start)) {
        const Piece piece = parse_piece(name, start.size(), table.rows);
        if (piece.shard == Shard{piece.shard.rank, shard.shard.first_row, shard.shard.rows, shard.shard.first_col,
                                 shard.shard.cols} &&
            piece.order == shard.order) {
          checkpoint.read(name, array.bytes);
          filled = shard.shard.rows * shard.shard.cols;
          break;
        }
        buffer.resize(
            static_cast<std::size_t>(piece.shard.rows * array.row_elements(piece.shard.cols) * array.element_bytes));
        checkpoint.read(name, buffer);
        filled += copy_overlap(piece, {array.name, buffer, array.element_bytes, array.planes}, shard, array);
        if (filled >= shard.shard.rows * shard.shard.cols) break;
      }
      if (filled < shard.shard.rows * shard.shard.cols)
        throw Error{ExitCode::damaged,
                    fmt::format("the checkpoint holds {} of {} values of a table's {}", filled,
                                shard.shard.rows * shard.shard.cols, array.name),
                    fmt::format("table '{}'", table.name),
                    "take an older checkpoint, or the experiment it was made of"};
    }
  }
}

}  // namespace swallowtail
