#include "trainer/checkpoint/table_piece.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "parallel/error.h"

namespace swallowtail {

namespace {

/// The columns that two shards share, and where they lie in the rows of each.
struct Columns {
  std::int64_t first = 0, count = 0;
  Columns(const Shard& a, const Shard& b) {
    first = std::max(a.first_col, b.first_col);
    count = std::min(a.first_col + a.cols, b.first_col + b.cols) - first;
  }
};

/// So many rows that little memory holds them.
std::int64_t rows_at_once(std::int64_t row_bytes) {
  return std::max<std::int64_t>(1, kBlockBytes / 16 / std::max<std::int64_t>(1, row_bytes));
}

/// Fills one part from one piece after another.
class Filler {
 public:
  Filler(const Checkpoint& checkpoint, const TablePiece& wanted, std::int64_t element_bytes, std::span<std::byte> out)
      : checkpoint_(checkpoint), wanted_(wanted), order_(wanted.order()), size_(element_bytes), out_(out) {}

  /// Returns how many values of the part (rows times columns) it gave.
  std::int64_t take(const TensorEntry& tensor) {
    const TablePiece& piece = *tensor.piece;
    if (piece.table_rows != wanted_.table_rows || piece.dim != wanted_.dim)
      throw mismatch(fmt::format("the checkpoint's table has {} rows of {} values where the experiment has {} of {}",
                                 piece.table_rows, piece.dim, wanted_.table_rows, wanted_.dim));
    if (piece.planes != wanted_.planes || dtype_bytes(tensor.shape.dtype) != size_)
      throw mismatch(fmt::format("the checkpoint's {} is that of another optimizer", wanted_.array));
    if (Columns(piece.shard, wanted_.shard).count <= 0) return 0;
    if (!piece.rows_in.empty()) return take_listed(tensor);
    const RowOrder order = piece.order();
    if (!(order == order_)) return take_range(tensor, 0, piece.shard.rows, order);
    const std::int64_t first = std::max(piece.shard.first_row, wanted_.shard.first_row);
    const std::int64_t end =
        std::min(piece.shard.first_row + piece.shard.rows, wanted_.shard.first_row + wanted_.shard.rows);
    if (first >= end) return 0;
    return take_range(tensor, first - piece.shard.first_row, end - piece.shard.first_row, order);
  }

 private:
  Error mismatch(std::string fact) const {
    return {ExitCode::damaged, std::move(fact), fmt::format("table '{}'", wanted_.table),
            "take the experiment that the checkpoint was made of, or start a new run"};
  }

  /// Rows [begin, end) of the piece, wherever in the part they belong.
  std::int64_t take_range(const TensorEntry& tensor, std::int64_t begin, std::int64_t end, const RowOrder& order) {
    const TablePiece& piece = *tensor.piece;
    const std::int64_t row_bytes = piece.row_elements() * size_;
    if (order == order_ && piece.shard.first_col == wanted_.shard.first_col && piece.shard.cols == wanted_.shard.cols) {
      // The common case, the same plan: straight into the table.
      const std::int64_t target = piece.shard.first_row + begin - wanted_.shard.first_row;
      checkpoint_.read(tensor, begin * row_bytes,
                       out_.subspan(static_cast<std::size_t>(target * row_bytes),
                                    static_cast<std::size_t>((end - begin) * row_bytes)));
      return (end - begin) * piece.shard.cols;
    }
    BlockReader::Stream values = checkpoint_.stream(tensor, begin * row_bytes, (end - begin) * row_bytes);
    const std::int64_t at_once = rows_at_once(row_bytes);
    std::int64_t copied = 0;
    for (std::int64_t row = begin; row < end; row += at_once) {
      const std::int64_t rows = std::min(at_once, end - row);
      buffer_.resize(static_cast<std::size_t>(rows * row_bytes));
      values.next(buffer_);
      for (std::int64_t i = 0; i < rows; ++i)
        copied += place(piece, order.row_at(piece.shard.first_row + row + i), buffer_.data() + i * row_bytes);
    }
    return copied;
  }

  /// The rows that an incremental checkpoint lists.
  std::int64_t take_listed(const TensorEntry& tensor) {
    const TablePiece& piece = *tensor.piece;
    const TensorEntry& list = checkpoint_.manifest().tensors.at(piece.rows_in);
    const RowOrder order = piece.order();
    const std::int64_t row_bytes = piece.row_elements() * size_, count = list.shape.shape[0];
    BlockReader::Stream numbers = checkpoint_.stream(list, 0, count * 8),
                        values = checkpoint_.stream(tensor, 0, count * row_bytes);
    const std::int64_t at_once = rows_at_once(std::max<std::int64_t>(8, row_bytes));
    std::vector<std::int64_t> rows;
    std::int64_t copied = 0;
    for (std::int64_t first = 0; first < count; first += at_once) {
      const std::int64_t here = std::min(at_once, count - first);
      rows.resize(static_cast<std::size_t>(here));
      numbers.next(std::as_writable_bytes(std::span(rows)));
      buffer_.resize(static_cast<std::size_t>(here * row_bytes));
      values.next(buffer_);
      for (std::int64_t i = 0; i < here; ++i) {
        if (rows[static_cast<std::size_t>(i)] < 0 || rows[static_cast<std::size_t>(i)] >= piece.shard.rows)
          throw Error{ExitCode::damaged, "an incremental checkpoint lists a row beyond its table",
                      fmt::format("table '{}'", piece.table), "use an older checkpoint"};
        copied += place(piece, order.row_at(piece.shard.first_row + rows[static_cast<std::size_t>(i)]),
                        buffer_.data() + i * row_bytes);
      }
    }
    return copied;
  }

  /// One row of a piece into the part; returns the values that it gave.
  std::int64_t place(const TablePiece& piece, std::int64_t table_row, const std::byte* source) {
    const std::int64_t row = order_.position(table_row) - wanted_.shard.first_row;
    if (row < 0 || row >= wanted_.shard.rows) return 0;
    const Columns columns(piece.shard, wanted_.shard);
    std::byte* const target = out_.data() + row * wanted_.row_elements() * size_;
    if (wanted_.planes == 0) std::memcpy(target, source, static_cast<std::size_t>(size_));
    for (std::int64_t plane = 0; plane < wanted_.planes; ++plane)
      std::memcpy(target + (plane * wanted_.shard.cols + columns.first - wanted_.shard.first_col) * size_,
                  source + (plane * piece.shard.cols + columns.first - piece.shard.first_col) * size_,
                  static_cast<std::size_t>(columns.count * size_));
    return columns.count;
  }

  const Checkpoint& checkpoint_;
  const TablePiece& wanted_;
  RowOrder order_;
  std::int64_t size_;
  std::span<std::byte> out_;
  std::vector<std::byte> buffer_;
};

}  // namespace

void fill_table_part(const Checkpoint& checkpoint, const TablePiece& wanted, std::int64_t element_bytes,
                     std::span<std::byte> out) {
  if (checkpoint.base() != nullptr) fill_table_part(*checkpoint.base(), wanted, element_bytes, out);
  Filler filler(checkpoint, wanted, element_bytes, out);
  std::int64_t filled = 0;
  for (const auto& [name, tensor] : checkpoint.manifest().tensors)
    if (tensor.piece && tensor.piece->table == wanted.table && tensor.piece->array == wanted.array)
      filled += filler.take(tensor);
  checkpoint.forget();
  if (checkpoint.base() == nullptr && filled < wanted.shard.rows * wanted.shard.cols)
    throw Error{ExitCode::damaged,
                fmt::format("the checkpoint holds {} of {} values of a table's {}", filled,
                            wanted.shard.rows * wanted.shard.cols, wanted.array),
                fmt::format("table '{}'", wanted.table), "take an older checkpoint, or the experiment it was made of"};
}

}  // namespace swallowtail
