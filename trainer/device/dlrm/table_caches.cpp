#include "trainer/device/dlrm/table_caches.h"

#include <algorithm>
#include <cstring>

#include "trainer/device/table_room.h"

namespace swallowtail {

namespace {

template <typename T>
std::span<std::byte> bytes_of(std::span<T> values) {
  return std::as_writable_bytes(values);
}

std::vector<cuda::CachedArray> arrays_of(const EmbeddingTable& table, bool averaging) {
  constexpr std::int64_t kFloat = sizeof(float);
  std::vector<cuda::CachedArray> arrays{{.row_bytes = table.dim * kFloat}};
  const std::int64_t state = sparse_state_width(table.optimizer.kind, table.dim);
  if (state > 0) arrays.push_back({.row_bytes = state * kFloat});
  if (!averaging) return arrays;
  arrays.push_back({.row_bytes = table.dim * kFloat});
  arrays.push_back({.row_bytes = sizeof(std::int32_t)});
  return arrays;
}

}  // namespace

TableCaches::TableCaches(std::span<const EmbeddingTable> tables, std::span<const std::int64_t> slots,
                         cuda::Eviction eviction, bool averaging, cuda::Stream& stream)
    : tables_(tables.begin(), tables.end()), averaging_(averaging), stream_(stream) {
  for (std::size_t t = 0; t < slots.size(); ++t) {
    if (slots[t] == 0) continue;
    const EmbeddingTable& table = tables_[t];
    auto arrays = arrays_of(table, averaging);
    cuda::RowCache cache(table.rows, arrays, {slots[t] / kCacheWays, kCacheWays, eviction}, stream);
    Cached& cached =
        caches_.emplace_back(Cached{static_cast<std::int64_t>(t), table.rows, std::move(cache), std::move(arrays)});
    if (averaging) cached.average_step = cuda::PinnedBuffer<std::int32_t>(table.rows);
  }
  counts_ = cuda::PinnedBuffer<cuda::RowCacheCounts>(std::ssize(caches_));
}

const TableCaches::Cached* TableCaches::find(std::int64_t table) const {
  const auto found = std::ranges::find(caches_, table, &Cached::table);
  return found == caches_.end() ? nullptr : &*found;
}

std::optional<TableCaches::Rows> TableCaches::lines(std::int64_t table) const {
  const Cached* const cached = find(table);
  if (!cached) return {};
  const auto floats = [&](std::size_t k) { return reinterpret_cast<float*>(cached->cache.on_device(k)); };
  const std::size_t averages = averaging_ ? 2 : 0, count = cached->arrays.size();
  Rows rows{cached->cache.slots(), floats(0), count - averages > 1 ? floats(1) : nullptr, {}};
  if (averaging_)
    rows.average = {floats(count - 2), reinterpret_cast<std::int32_t*>(cached->cache.on_device(count - 1))};
  return rows;
}

void TableCaches::restart(std::span<TableShard> shards) {
  if (!any()) return;
  std::vector<std::span<std::byte>> homes;
  for (Cached& cached : caches_) {
    TableShard& shard = shards[static_cast<std::size_t>(cached.table)];
    cached.shard = &shard;
    homes.push_back(bytes_of(std::span(shard.weights)));
    if (!shard.state.empty()) homes.push_back(bytes_of(std::span(shard.state)));
    if (averaging_) homes.push_back(bytes_of(std::span(shard.average)));
  }
  const auto same = [](std::span<std::byte> a, std::span<std::byte> b) {
    return a.data() == b.data() && a.size() == b.size();
  };
  if (!std::ranges::equal(homes, homes_, same)) {
    lock_.reset();
    homes_.clear();
    lock_.emplace(homes);
    homes_ = std::move(homes);
  }

  std::vector<cuda::DeviceTable> described;
  std::vector<cuda::RowAverage> averages;
  auto home = homes_.begin();
  for (Cached& cached : caches_) {
    const EmbeddingTable& table = tables_[static_cast<std::size_t>(cached.table)];
    std::vector<unsigned char*> hosts;
    while (hosts.size() + (averaging_ ? 1 : 0) < cached.arrays.size())
      hosts.push_back(reinterpret_cast<unsigned char*>((home++)->data()));
    if (averaging_) {
      std::ranges::transform(cached.shard->average_step, cached.average_step.data(),
                             [](std::int64_t step) { return static_cast<std::int32_t>(2 * step); });
      described.push_back({.rows = cached.shard->weights.data(),
                           .row_count = table.rows,
                           .dim = static_cast<std::int32_t>(table.dim),
                           .pooling = table.pooling});
      averages.push_back({cached.shard->average.data(), cached.average_step.data()});
      hosts.push_back(reinterpret_cast<unsigned char*>(cached.average_step.data()));
    }
    cached.cache.restart(hosts, stream_);
  }
  if (!averaging_) return;
  at_home_.emplace(described, true, stream_);
  averages_at_home_ = cuda::to_device<cuda::RowAverage>(averages, stream_);
  stream_.wait();
}

void TableCaches::flush() {
  for (Cached& cached : caches_) cached.cache.flush(stream_);
  stream_.wait();
  if (averaging_)
    for (Cached& cached : caches_) fetch_average_steps(cached);
}

/// Rows whose average has moved on with the steps alone are changed too.
void TableCaches::fetch_average_steps(Cached& cached) {
  TableShard& shard = *cached.shard;
  const auto dim = static_cast<std::size_t>(tables_[static_cast<std::size_t>(cached.table)].dim);
  for (std::size_t row = 0; row < shard.average_step.size(); ++row) {
    const std::int64_t step = cached.average_step.data()[row] / 2;
    if (step == shard.average_step[row]) continue;
    shard.average_step[row] = step;
    if (!shard.changed.empty() &&
        std::memcmp(&shard.average[row * dim], &shard.weights[row * dim], dim * sizeof(float)) != 0)
      shard.changed[row] = 1;
  }
}

void TableCaches::settle(const cuda::DecayTable& decays, std::int64_t step) {
  // A line that was changed overwrites what becomes of its row here; one that was not has the same values.
  if (any()) cuda::settle_averages({&*at_home_, averages_at_home_.data(), decays, nullptr}, step, stream_);
}

void TableCaches::mark_changed(const BagSet& bags) {
  for (Cached& cached : caches_) {
    if (cached.shard->changed.empty()) continue;
    for (const std::int64_t row : bags.tables[static_cast<std::size_t>(cached.table)].ids.values)
      cached.shard->changed[static_cast<std::size_t>(row)] = 1;
  }
}

void TableCaches::prefetch(const InputBlock::Ids& ids, Beside beside, bool for_update, cuda::Stream& stream) {
  ++batches_;
  const std::int64_t oldest = beside == Beside::a_step ? batches_ - 1 : batches_;
  for (std::size_t c = 0; c < caches_.size(); ++c) {
    const auto t = static_cast<std::size_t>(caches_[c].table);
    std::int64_t* const values = ids.values + ids.first[t];
    const std::int64_t count = ids.first[t + 1] - ids.first[t];
    caches_[c].cache.prefetch({values, count, batches_, oldest, for_update}, stream);
    caches_[c].cache.find(values, count, values, stream);
    caches_[c].cache.fetch_counts(counts_.data() + c, stream);
  }
}

std::optional<std::int64_t> TableCaches::without_room() const {
  for (std::size_t c = 0; c < caches_.size(); ++c)
    if (counts_.data()[c].homeless > 0) return caches_[c].table;
  return {};
}

std::int64_t TableCaches::row_in(std::int64_t table, std::int64_t slot) const {
  const Cached* const cached = find(table);
  return cached ? cached->cache.row_in(slot, stream_) : slot;
}

std::vector<RowCacheUse> TableCaches::use() const {
  std::vector<RowCacheUse> all;
  for (const Cached& cached : caches_) {
    const cuda::RowCacheCounts counts = cached.cache.counts(stream_);
    all.push_back({.table = cached.table,
                   .slots = cached.cache.slots(),
                   .hits = static_cast<std::int64_t>(counts.hits),
                   .misses = static_cast<std::int64_t>(counts.misses),
                   .written_back = static_cast<std::int64_t>(counts.written_back)});
  }
  return all;
}

}  // namespace swallowtail
