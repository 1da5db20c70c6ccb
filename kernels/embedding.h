// Pooled embedding lookup and its backward, fused with the optimizer of the rows (optimizer.h).
// A jagged batch holds B bags; bag b is values[offsets[b]] … values[offsets[b + 1] - 1]. offsets may be a part of a
// longer array (offsets[0] need not be 0): a slice of the bags needs no copy. Any number of threads may call these at
// once, each with its own outputs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace swallowtail {

enum class Pooling : std::uint8_t {
  sum,
  mean,  // divides by the bag's number of ids
  none   // no pooling: one vector an id (sequences)
};

struct TableView {       // borrowed
  const float* weights;  // [rows, dim] fp32, row-major
  std::int64_t rows, dim;
};

/// How a row is stored. 16-bit rows as in wire.h; int8: the row's scale = largest / 127 in fp32, then its bytes.
enum class RowFormat : std::uint8_t { fp32, bf16, fp16, int8 };

struct PackedTableView {   // borrowed
  const std::byte* bytes;  // [rows, row_bytes], 4-byte aligned
  RowFormat format;
  std::int64_t rows, dim;
};

/// Bytes of a row, a multiple of 4.
std::int64_t row_bytes(RowFormat format, std::int64_t dim) noexcept;
/// A row from floats, rounded to nearest, and back. fp16: finite values beyond +-65504 become +-65504.
void pack_row(RowFormat format, const float* values, std::int64_t dim, std::byte* row) noexcept;
void unpack_row(RowFormat format, const std::byte* row, std::int64_t dim, float* values) noexcept;

struct JaggedView {                       // borrowed
  std::span<const std::int64_t> values;   // row ids, indexed by the offsets
  std::span<const std::int64_t> offsets;  // [B + 1], never falling
  std::span<const float> weights;         // one for each value, or empty: every id weighs 1
  std::int64_t bags() const noexcept { return static_cast<std::int64_t>(offsets.size()) - 1; }
};

/// out[b, :] = sum or mean of weight * table[values[i], :] over the bag b; an empty bag gives zeros.
/// Pooling::none: out[i, :] = weight * table[values[i], :] for the ids offsets[0] … offsets[B] - 1, counted from 0.
/// out       [B, dim] fp32 (none: [ids, dim]), overwritten, apart from the table
/// Requires  0 <= values[i] < rows. Checked once where ids enter (data/batch.h), trusted here.
/// Order     rows are added as they stand in the bag, so every thread count gives the same bits.
/// Source    Naumov et al., arXiv:1906.00091, section 2.
void pooled_lookup_forward(const TableView& table, const JaggedView& bags, Pooling pooling, float* out);

/// The same on packed rows, whose values are fp32 once they are read (int8: scale * byte, then times the weight).
void pooled_lookup_forward(const PackedTableView& table, const JaggedView& bags, Pooling pooling, float* out);

/// The same sums of rows that lie anywhere: rows[i] points to the `cols` floats of id i, for the ids offsets[0] …
/// offsets[B] - 1 of `bags`, whose values are not read. out[b * stride … + cols) is overwritten (none: out[i *
/// stride]). The bits are those of pooled_lookup_forward on the same rows.
void pool_rows(std::span<const float* const> rows, const JaggedView& bags, Pooling pooling, std::int64_t cols,
               std::int64_t stride, float* out);

/// The ids of a batch grouped by row: what a deduplicated row update walks over. Reused between steps.
struct RowGroups {
  std::vector<std::int64_t> rows;    // [U] distinct rows, rising
  std::vector<std::int64_t> starts;  // [U + 1] into `items`
  struct Item {
    std::int64_t bag;  // Pooling::none: the id's place among all ids
    float scale;       // the id's weight, over the bag's size for mean pooling
  };
  std::vector<Item> items;  // [N]; within a row in (bag, position) order
};

/// Groups by a stable radix sort, shared among threads where N is large. Cost: O(N) for each 11 bits of `table_rows`.
/// bag_sizes  [B] what mean pooling divides by, where the bags are parts of longer ones; empty: their own sizes
void group_by_row(const JaggedView& bags, std::int64_t table_rows, Pooling pooling, RowGroups& groups,
                  std::span<const std::int64_t> bag_sizes = {});

/// gradient[u, :] = sum of scale * bag_gradients[bag][:] over the items of group u, added in item order.
/// bag_gradients  [B] pointers to dim floats (the pooled gradients, wherever they were received)
/// gradient       [dim], overwritten
void row_gradient(const RowGroups& groups, std::int64_t group, std::span<const float* const> bag_gradients,
                  std::int64_t dim, float* gradient) noexcept;

}  // namespace swallowtail
