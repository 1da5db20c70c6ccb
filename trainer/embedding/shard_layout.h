// What the ranks of a plan send each other, in which order: the same on every rank, so that no message names its parts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "parallel/sharding/sharding_plan.h"
#include "trainer/embedding/embedding_table.h"

namespace swallowtail {

/// The ids that an owner needs of one feature. Tables that share a feature and a division of rows share it.
struct IdStream {
  std::int64_t feature = 0;
  RowOrder order;
  std::int64_t first_row = 0, rows = 0;  // positions of the order
  bool is_partial = false;               // not all rows: ids of other positions are left out, bags may be cut
  bool is_copy = false;                  // of data-parallel tables: every rank gets it, for the update alone
  bool operator==(const IdStream&) const = default;
};

struct HeldShard {
  std::int64_t table = 0;
  Shard shard;
  std::size_t stream = 0;  // of the owner's streams
};

/// The rows of a feature's tables in parts, each on another owner: one pass over a batch's ids deals them all out.
struct RowDivision {
  struct Part {
    std::int64_t first_row = 0;
    int owner = 0;
    std::size_t stream = 0;  // of the owner's streams
    bool operator==(const Part&) const = default;
  };
  std::int64_t feature = 0;
  RowOrder order;
  std::vector<Part> parts;  // rising by first_row, from 0
  bool operator==(const RowDivision&) const = default;
};

struct ShardLayout {
  std::vector<std::vector<IdStream>> streams;  // [owner]
  std::vector<std::vector<HeldShard>> shards;  // [owner], by table
  std::vector<RowDivision> divisions;          // of the partial streams
  std::uint64_t hash = 0;                      // of all that must agree
};

ShardLayout make_layout(std::span<const EmbeddingTable> tables, const ShardingPlan& plan);

/// What one vector stands for where vectors are exchanged.
enum class Unit : std::uint8_t {
  bag,         // a sample's bag, empty ones too
  filled_bag,  // a bag that has an id in the owner's rows
  id,          // an id (or, in a deduplicated stream, a distinct row)
  nothing      // not sent
};

}  // namespace swallowtail
