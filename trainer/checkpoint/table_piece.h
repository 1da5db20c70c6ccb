// Parts of embedding tables out of a checkpoint of any plan, on any number of ranks.
#pragma once

#include <span>
#include <string>

#include "trainer/checkpoint/checkpoint.h"

namespace swallowtail {

/// Fills `out` with the part of a table's array that `wanted` names (table, array, order, shard, planes): row i of
/// `out` [shard.rows, row_elements] is the row at position shard.first_row + i. Reads only pieces that overlap, and
/// holds less than a block beside `out`; of an incremental checkpoint the base first. Errors: damaged where values are
/// missing or a piece is of another table.
void fill_table_part(const Checkpoint& checkpoint, const TablePiece& wanted, std::int64_t element_bytes,
                     std::span<std::byte> out);

}  // namespace swallowtail
