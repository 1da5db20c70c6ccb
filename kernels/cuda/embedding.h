// Pooled embedding lookup on the device for all tables in one launch, and its backward, fused with the optimizer of the
// rows. The meaning is that of kernels/embedding.h and kernels/optimizer.h; fp32 rows give the same bits.
// All pointers are device memory, 16-byte aligned, unless they are said to be the host's. Calls return at once; the work
// runs on the stream. Ids are trusted here: they are checked where they enter (data/batch.h).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cuda/device.h"
#include "kernels/cuda/rates.h"
#include "kernels/embedding.h"
#include "kernels/optimizer.h"
#include "kernels/row_update.h"

namespace swallowtail::cuda {

inline constexpr std::int64_t kMaxDim = 1024;

struct DeviceTable {
  void* rows = nullptr;      // [row_count] rows of row_bytes(format, dim)
  float* state = nullptr;    // [row_count, sparse_state_width]; backward only
  std::int64_t row_count = 0;
  std::int64_t first_row = 0;  // rows of the tables before it: rows are numbered through all tables
  std::int64_t out_column = 0;  // where the table's dim floats stand in a row of `out`
  std::int32_t dim = 0;
  RowFormat format = RowFormat::fp32;  // int8: forward only
  Pooling pooling = Pooling::sum;  // sum or mean
  RoundingKey rounding;            // of 16-bit rows; backward only
  /// The row-wise statistic spans columns that lie elsewhere: RowUpdate::mean_squares says the whole rows'.
  bool splits_statistic = false;
};

/// The tables of one launch, on both sides.
class DeviceTables {
 public:
  /// Fills first_row; out_column too where `packed`: one table's columns after the other's.
  /// Errors: Failure where a dim is not in [1, kMaxDim], or a pooling is none.
  DeviceTables(std::span<const DeviceTable> tables, bool packed, Stream& stream);
  const DeviceTable* on_device() const noexcept { return device_.data(); }
  std::span<const DeviceTable> on_host() const noexcept { return host_; }
  std::int64_t count() const noexcept { return static_cast<std::int64_t>(host_.size()); }
  std::int64_t width() const noexcept { return width_; }            // floats of a row of `out`
  /// Rows of `out` hold other things too: they are `width` floats wide, at least width().
  void widen(std::int64_t width) noexcept { width_ = width; }
  std::int64_t total_rows() const noexcept { return total_rows_; }
  std::int64_t max_dim() const noexcept { return max_dim_; }

 private:
  std::vector<DeviceTable> host_;
  DeviceBuffer<DeviceTable> device_;
  std::int64_t width_ = 0, total_rows_ = 0, max_dim_ = 0;
};

/// Bags of all tables: bag b of table t is values[offsets[t * batch + b]] … values[offsets[t * batch + b + 1] - 1].
struct DeviceBags {
  const std::int64_t* values = nullptr;   // [ids]
  const std::int64_t* offsets = nullptr;  // [tables * batch + 1]; offsets[0] == 0
  const float* weights = nullptr;         // [ids], or null: every id weighs 1
  std::int64_t batch = 0, ids = 0;
};

/// out[b, out_column … + dim) of each table, [batch, width] fp32; columns of no table are left alone.
/// Cost      ids * row_bytes read; bound by memory. A row is read by dim / 4 lanes, four rows at a time.
/// Source    the table-batched form: Khudia et al., arXiv:2101.05615 (FBGEMM).
void pooled_lookup_forward(const DeviceTables& tables, const DeviceBags& bags, float* out, Stream& stream);

/// What the backward keeps between calls; grows to the largest batch.
struct BackwardScratch {
  DeviceBuffer<std::uint64_t> keys, sorted_keys;
  DeviceBuffer<std::uint32_t> items, sorted_items;  // places in `values`
  DeviceBuffer<std::uint32_t> bags;                 // of each id: t * batch + b
  DeviceBuffer<float> scales, shares;
  DeviceBuffer<std::int64_t> segment_of, starts, segment_count, first_chunk;
  DeviceBuffer<float> partial_sums;
  DeviceBuffer<std::byte> library;
};

inline constexpr unsigned long long kNoBadRow = ~0ULL;

struct RowUpdate {
  OptimizerStep step;  // of all tables, unless
  /// [tables], device: each table's own, read when the kernels run, so that a recorded graph serves every step.
  const Rates* table_rates = nullptr;
  /// [ids], device: for tables that split the row-wise statistic, the mean of the squared gradient over all columns of
  /// a row, at the place where the row's ids begin among the sorted ones (row_squares).
  const float* mean_squares = nullptr;
  /// Rows with more ids than this are summed in pieces of this many by different blocks, and the pieces in their order:
  /// always the same bits, but not those of one sum from left to right. Zero: never.
  std::int64_t long_segment = 1024;
};

/// Rows that occur in the batch are updated once, with the sum of their gradients in (bag, position) order.
/// gradient  [batch, width] fp32, of the pooled vectors
/// Rows      fp32; bf16 and fp16 are rounded stochastically as in kernels/row_update.h. The state is fp32.
/// bad_row   [1], device: the least row, counted through all tables (first_row), whose gradient is not finite; such
///           rows are left alone. The call sets it to kNoBadRow first.
/// Errors    Failure: int8 rows, 2^32 ids or more.
/// Cost      sort of the ids, then ids * dim * 4 bytes of gradients and the touched rows and states read and written.
/// Source    sort, segment and fused update as in FBGEMM's exact optimizers (arXiv:2101.05615).
void pooled_lookup_backward(const DeviceTables& tables, const DeviceBags& bags, const float* gradient,
                            const RowUpdate& update, BackwardScratch& scratch, unsigned long long* bad_row,
                            Stream& stream);

// The same in two steps, for updates of several arrays by the same ids, and gradients that are rows of another table.

/// Groups the ids into scratch.
void group_by_row(const DeviceTables& tables, const DeviceBags& bags, BackwardScratch& scratch, Stream& stream);

struct BagGradients {
  const float* values = nullptr;
  std::int64_t width = 0;              // floats from one row of `values` to the next
  const std::int64_t* rows = nullptr;  // [batch] which row is the gradient of a sample's bags, or null: its own
  const float* decay = nullptr;        // [batch] as bag_decay in kernels/row_update.h, or null
};
/// squares[i] = the sum of the squared gradients (decay included) of the row whose ids begin at place i of the sorted
/// ids, for tables that split the row-wise statistic; other places are left alone. The ids of a table are together, in
/// the order of the tables, and owners of other columns of the same rows have the same places.
/// squares  [ids]
void row_squares(const DeviceTables& tables, const DeviceBags& bags, const BagGradients& gradients,
                 const RowUpdate& update, BackwardScratch& scratch, float* squares, Stream& stream);
/// Tables whose rows are numbered as those that were grouped; bags alike.
void update_grouped_rows(const DeviceTables& tables, const DeviceBags& bags, const BagGradients& gradients,
                         const RowUpdate& update, BackwardScratch& scratch, unsigned long long* bad_row,
                         Stream& stream);

}  // namespace swallowtail::cuda
