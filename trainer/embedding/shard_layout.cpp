#include "trainer/embedding/shard_layout.h"

#include <algorithm>

#include "kernels/random.h"

namespace swallowtail {

ShardLayout make_layout(std::span<const EmbeddingTable> tables, const ShardingPlan& plan) {
  ShardLayout layout;
  layout.streams.resize(static_cast<std::size_t>(plan.world_size));
  layout.shards.resize(static_cast<std::size_t>(plan.world_size));
  const auto mix = [&layout](std::int64_t value) {
    layout.hash = random::mix(layout.hash ^ (static_cast<std::uint64_t>(value) + 0x9e3779b97f4a7c15ULL));
  };
  for (std::size_t t = 0; t < tables.size(); ++t) {
    const EmbeddingTable& table = tables[t];
    mix(static_cast<std::int64_t>(random::purpose(table.name)));
    mix(table.rows);
    mix(table.dim);
    mix(static_cast<std::int64_t>(table.pooling));
    RowDivision division{.feature = table.feature, .order = plan.tables[t].order, .parts = {}};
    for (const Shard& shard : plan.tables[t].shards) {
      for (const std::int64_t value :
           {std::int64_t{shard.rank}, shard.first_row, shard.rows, shard.first_col, shard.cols})
        mix(value);
      const IdStream stream{.feature = table.feature,
                            .order = plan.tables[t].order,
                            .first_row = shard.first_row,
                            .rows = shard.rows,
                            .is_partial = shard.rows != table.rows,
                            .is_copy = plan.tables[t].sharding == Sharding::data_parallel};
      auto& streams = layout.streams[static_cast<std::size_t>(shard.rank)];
      const auto found = std::ranges::find(streams, stream);
      const auto index = static_cast<std::size_t>(found - streams.begin());
      if (found == streams.end()) streams.push_back(stream);
      layout.shards[static_cast<std::size_t>(shard.rank)].push_back({static_cast<std::int64_t>(t), shard, index});
      if (stream.is_partial) division.parts.push_back({shard.first_row, shard.rank, index});
    }
    if (!division.parts.empty() && std::ranges::find(layout.divisions, division) == layout.divisions.end())
      layout.divisions.push_back(std::move(division));
  }
  return layout;
}

}  // namespace swallowtail
