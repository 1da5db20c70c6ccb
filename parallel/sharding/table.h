// What a sharding plan needs to know of an embedding table.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace swallowtail {

/// How a table is divided over ranks.
enum class Sharding : std::uint8_t {
  table_wise,      // whole on one rank
  row_wise,        // rows over all ranks, in blocks of the table's RowOrder
  column_wise,     // columns over ranks, each with all rows
  table_row_wise,  // rows over the ranks of one machine
  data_parallel,   // a copy on every rank
  grid             // rows and columns: rectangles over ranks; planned for clusters, not yet trained
};

std::string_view name_of(Sharding sharding) noexcept;                    // "table_wise", …
std::optional<Sharding> parse_sharding(std::string_view name) noexcept;  // nothing for another name ("auto" too)

struct TableSpec {
  std::string name;
  std::int64_t rows = 0, dim = 0;
  double mean_ids = 1;  // ids a sample looks up on average (pooling factor): the load that the table puts on its rank
  double zipf = 0;      // exponent of the ids' distribution over rows; 0: uniform
  std::int64_t state_per_row = 0;      // floats of optimizer state a row, split with the columns, …
  bool state_is_by_row = false;        // … unless it is one statistic a row, which every column shard holds
  bool pooled = true;                  // false: one vector an id (sequences)
  std::optional<Sharding> sharding{};  // as the experiment asks; nothing: the planner chooses
  bool hashed_rows = true;             // row-wise: blocks of permuted rows, so that hot ids spread over ranks
};

}  // namespace swallowtail
