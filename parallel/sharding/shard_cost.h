// What a part of an embedding table costs the rank that holds it: seconds of a training step and bytes of memory.
// The planner adds these up (planner.h); cluster files and measurements supply the constants. Everything is an
// expectation over the id distribution of the table. No cost falls when a part grows, and no division of a table costs
// less in all than the floor: on this the planner's lower bound stands.
#pragma once

#include <cstdint>

#include "parallel/sharding/table.h"

namespace swallowtail {

struct EmbeddingCosts {
  double batch = 2048;  // samples of the global batch
  int world_size = 1;

  // Memory of one rank. A row costs its bytes, rounded up to granules, at the speed of where it lies.
  double lookup_id_s = 0;      // an id in the forward pass, beside the bytes of its row
  double bag_s = 0;            // a bag that is pooled
  double lookup_byte_s = 0;    // bytes of rows at random places of memory
  double cached_byte_s = 0;    // bytes of rows in cache, both passes
  double cache_bytes = 0;      // for the hottest rows of one table
  double granule_bytes = 64;   // memory is fetched in these
  double update_id_s = 0;      // an id in the backward pass: grouping ids by row
  double gradient_byte_s = 0;  // bytes of a bag's gradient, read once an id
  double update_row_s = 0;     // a touched row, beside its bytes
  double update_byte_s = 0;    // bytes of weights and state of touched rows, each read and written
  double shard_s = 0;          // a shard, whatever its size: launches, messages of its own

  // Exchange. link_byte_s: a byte that a rank sends or receives, where it and its own share have been averaged.
  double link_byte_s = 0;
  double id_bytes = 8;
  double bag_bytes = 8;                          // an offset or a size beside the ids
  double forward_bytes = 4, backward_bytes = 4;  // a float on the wire
  bool exact = false;                            // vectors of divided rows travel one by one (train.deterministic)
  bool deduplicates = false;                     // a row travels once to a rank where that is less than its bags
  /// Copies of a table on every rank: their dense gradients are summed (> 0: seconds a byte of the table), or every
  /// rank gets the ids and gradients of all samples (0).
  double copy_reduce_byte_s = 0;
};

struct ShardShape {
  std::int64_t rows = 0, cols = 0;
  bool is_copy = false;  // of the whole table, one on every rank
};

struct ShardCost {
  double input_s = 0, lookup_s = 0, shuffle_s = 0, gradient_s = 0, update_s = 0;  // in the order of the step
  double input_bytes = 0, forward_bytes = 0, backward_bytes = 0;                  // that the owner gets, sends, gets
  double table_bytes = 0, state_bytes = 0, buffer_bytes = 0;                      // of memory

  double seconds() const noexcept { return input_s + lookup_s + shuffle_s + gradient_s + update_s; }
  double bytes() const noexcept { return table_bytes + state_bytes + buffer_bytes; }
  ShardCost& operator+=(const ShardCost& more) noexcept;
};

/// Knows one table; its expectations are taken once.
class TableCost {
 public:
  TableCost(const TableSpec& table, const EmbeddingCosts& costs);

  ShardCost of(const ShardShape& shape) const;
  /// Seconds that all ranks together spend at least on the table, divided in whatever way (copies not considered).
  double floor_seconds() const;
  /// Bytes that it needs at least, in all.
  double floor_bytes() const;

 private:
  ShardCost owned(double part, double rows, double cols, bool is_floor) const;
  ShardCost copied() const;

  TableSpec table_;
  EmbeddingCosts costs_;
  double ids_;               // of the global batch
  double distinct_;          // rows of the global batch
  double distinct_by_rank_;  // the same counted for each rank's samples by themselves, in all
  double cached_ids_;        // share of ids whose rows lie in cache
  double cached_rows_;       // share of distinct rows that do
};

}  // namespace swallowtail
