// Backward of a pooled lookup fused with the optimizer: each row that a batch touched is read once, its gradient added
// up in registers over all its places, and written once. Exact with duplicate ids: a row takes one optimizer step
// whatever the number of its places. Threads own ranges of rows, so there are no atomics and every number of threads
// gives the same bits, those of row_gradient(), add_decay() and apply_row().
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/embedding.h"
#include "kernels/optimizer.h"

namespace swallowtail {

struct TableRows {  // borrowed, changed
  float* weights;   // [rows, dim]
  float* state;     // [rows, sparse_state_width(dim)]
  std::int64_t dim;
};

/// One step on the rows of `groups`. bag_gradients: as in row_gradient().
/// bag_decay  [B] or empty: then step.weight_decay counts once a row; else, for all but adamw, once for each place of
/// the
///            row, times bag_decay of its bag
/// Returns the least row whose gradient is not finite, or -1; such rows are left alone, all others are updated.
std::int64_t update_rows(const OptimizerStep& step, const TableRows& table, const RowGroups& groups,
                         std::span<const float* const> bag_gradients, std::span<const float> bag_decay = {});

struct PackedTableRows {  // borrowed, changed
  std::byte* bytes;       // [rows, row_bytes]
  RowFormat format;       // bf16 or fp16
  float* state;           // fp32, as above
  std::int64_t dim;
};

/// What makes the rounding of a step on a table its own.
struct RoundingKey {
  std::uint64_t seed = 0, table = 0;
  std::int64_t first_row = 0;  // number of the row that lies at 0: no division of the table changes a bit
};

/// The same on 16-bit rows: the step is made in fp32, and the new weights are rounded up or down with the probability
/// that makes the rounding's mean the value itself, from a counter of (seed, table, step.step, row, column).
std::int64_t update_rows(const OptimizerStep& step, const PackedTableRows& table, const RoundingKey& key,
                         const RowGroups& groups, std::span<const float* const> bag_gradients);

}  // namespace swallowtail
