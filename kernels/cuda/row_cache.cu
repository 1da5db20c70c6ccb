#include "kernels/cuda/row_cache.cuh"

#include <algorithm>
#include <bit>
#include <string>

#include "kernels/cuda/sort.h"

namespace swallowtail::cuda {

RowCache::RowCache(std::int64_t rows, std::span<const CachedArray> arrays, RowCacheOptions options, Stream& stream)
    : rows_(rows), options_(options) {
  if (options.sets < 1 || options.ways < 1 || options.ways > 1024)
    throw Failure("a row cache of " + std::to_string(options.sets) + " sets of " + std::to_string(options.ways) +
                  " rows cannot be; sets of 1 to 1024 rows can");
  for (const CachedArray& array : arrays) {
    if (array.row_bytes < 4 || array.row_bytes % 4 != 0)
      throw Failure("a row cache moves rows of a multiple of 4 bytes, not of " + std::to_string(array.row_bytes));
    lines_.emplace_back(slots() * array.row_bytes);
    pairs_.push_back({array.host, lines_.back().data(), array.row_bytes});
    detail::fill(lines_.back().data(), 0, static_cast<std::size_t>(lines_.back().size()), stream);
  }
  arrays_ = DeviceBuffer<ArrayPair>(static_cast<std::int64_t>(pairs_.size()));
  row_of_ = DeviceBuffer<std::int64_t>(slots());
  last_use_ = DeviceBuffer<std::int64_t>(slots());
  uses_ = DeviceBuffer<std::uint32_t>(slots());
  is_changed_ = DeviceBuffer<std::uint8_t>(slots());
  counts_ = DeviceBuffer<RowCacheCounts>(1);
  move_count_ = DeviceBuffer<unsigned long long>(1);
  zero(counts_.data(), 1, stream);
  std::vector<unsigned char*> hosts;
  for (const CachedArray& array : arrays) hosts.push_back(array.host);
  restart(hosts, stream);
}

CacheLines RowCache::lines() const {
  return {options_.sets, options_.ways, row_of_.data(), last_use_.data(), uses_.data(), is_changed_.data()};
}

void RowCache::restart(std::span<unsigned char* const> hosts, Stream& stream) {
  for (std::size_t k = 0; k < pairs_.size(); ++k) pairs_[k].host = hosts[k];
  copy_to_device(arrays_.data(), pairs_.data(), arrays_.size(), stream);
  launch<kBlockThreads>(grid_for(slots()), 0, stream, EmptyLines{lines()});
  stream.wait();
}

void RowCache::prefetch(const Batch& batch, Stream& stream) {
  zero(&counts_.data()->homeless, 1, stream);
  if (batch.count == 0) return;
  const auto bits_below = [](std::int64_t count) {
    return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(std::max<std::int64_t>(count, 2) - 1)));
  };
  const int row_bits = bits_below(rows_), set_bits = bits_below(options_.sets);
  if (row_bits + set_bits > 64 || batch.count >= std::int64_t{1} << 32)
    throw Failure("rows and sets of a cache together have at most 64 bits, and a batch fewer than 2^32 ids");
  keys_.reserve(batch.count);
  sorted_keys_.reserve(batch.count);
  items_.reserve(batch.count);
  sorted_items_.reserve(batch.count);
  const Grid grid = grid_for(batch.count);
  launch<kBlockThreads>(grid, 0, stream,
                        CacheKeys{batch.ids, batch.count, options_.sets, row_bits, keys_.data(), items_.data()});
  sort_pairs(keys_.data(), sorted_keys_.data(), items_.data(), sorted_items_.data(), batch.count, row_bits + set_bits,
             library_, stream);
  const std::int64_t most = std::min(batch.count, slots());
  moves_.reserve(most);
  zero(move_count_.data(), 1, stream);
  launch<kBlockThreads>(grid, 0, stream,
                        VisitSets{lines(), sorted_keys_.data(), batch.count, row_bits, batch.step, batch.oldest,
                                  batch.changes, options_.eviction, counts_.data(), moves_.data(), move_count_.data()});
  if (arrays_.size() > 0)
    launch<kBlockThreads>({std::min(divide_up(most * 32, kBlockThreads), kMaxBlocks), arrays_.size()}, 0, stream,
                          MoveRows{arrays_.data(), moves_.data(), move_count_.data()});
}

void RowCache::find(const std::int64_t* ids, std::int64_t count, std::int64_t* slots, Stream& stream) {
  if (count == 0) return;
  launch<kBlockThreads>(grid_for(count), 0, stream, FindSlots{lines(), ids, slots, count});
}

void RowCache::flush(Stream& stream) {
  if (arrays_.size() > 0)
    launch<kBlockThreads>({std::min(divide_up(slots() * 32, kBlockThreads), kMaxBlocks), arrays_.size()}, 0, stream,
                          WriteBackChanged{lines(), arrays_.data()});
  launch<kBlockThreads>(grid_for(slots()), 0, stream, ForgetChanges{lines(), counts_.data()});
}

void RowCache::fetch_counts(RowCacheCounts* pinned, Stream& stream) const {
  copy_to_host(pinned, counts_.data(), 1, stream);
}

std::int64_t RowCache::row_in(std::int64_t slot, Stream& stream) const {
  std::int64_t row = kNoRow;
  copy_to_host(&row, row_of_.data() + slot, 1, stream);
  stream.wait();
  return row;
}

RowCacheCounts RowCache::counts(Stream& stream) const {
  RowCacheCounts counts;
  copy_to_host(&counts, counts_.data(), 1, stream);
  stream.wait();
  return counts;
}

}  // namespace swallowtail::cuda
