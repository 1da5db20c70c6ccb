// Row caches of the tables that do not lie in the device's memory as a whole (kernels/cuda/row_cache.h). The rows' home
// is the host's shards themselves, page-locked: no second copy of them. A DeviceTableSet sees the caches' lines as a
// table of slots() rows; prefetch() brings a batch's rows there and puts slots in the place of its ids. Not
// thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/cuda/page_lock.h"
#include "kernels/cuda/row_average.h"
#include "kernels/cuda/row_cache.h"
#include "trainer/device/device_trainer.h"
#include "trainer/device/dlrm/input_block.h"

namespace swallowtail {

class TableCaches {
 public:
  /// slots: DeviceModel::cache_slots.
  TableCaches(std::span<const EmbeddingTable> tables, std::span<const std::int64_t> slots, cuda::Eviction eviction,
              bool averaging, cuda::Stream& stream);

  bool any() const noexcept { return !caches_.empty(); }
  /// The arrays of a table's rows; `table` as in the lookup's tables, without columns.
  struct Rows {
    std::int64_t count = 0;
    float *weights = nullptr, *state = nullptr;
    cuda::RowAverage average;
  };
  /// On the device; nothing where the table is not cached. The same addresses always.
  std::optional<Rows> lines(std::int64_t table) const;

  // Nothing may be under way in these four.

  /// Rows come from these shards from now on; they stay where they are until the next call, or the end of this.
  void restart(std::span<TableShard> shards);
  /// Writes rows that were changed back to the shards. Batches that have been prefetched count for nothing then.
  void flush();
  /// Every row's average up to `step`, wherever it lies.
  void settle(const cuda::DecayTable& decays, std::int64_t step);
  /// The rows of these bags have been updated: for shards that count their changes.
  void mark_changed(const BagSet& bags);

  /// What may be under way when a batch is prefetched: nothing, or the step of the batch that was prefetched last.
  enum class Beside : std::uint8_t { nothing, a_step };
  /// Puts slots in the place of the ids of cached tables, on `stream`. With a_step, the other step's rows stay.
  void prefetch(const InputBlock::Ids& ids, Beside beside, bool for_update, cuda::Stream& stream);
  /// Of the last prefetch, once its stream has been waited for: a table of whose rows some found no room. The slots are
  /// no good then; send the ids again and prefetch them beside nothing.
  std::optional<std::int64_t> without_room() const;

  std::int64_t row_in(std::int64_t table, std::int64_t slot) const;
  std::vector<RowCacheUse> use() const;

 private:
  struct Cached {
    std::int64_t table;
    std::int64_t rows;
    cuda::RowCache cache;
    std::vector<cuda::CachedArray> arrays;            // weights; state, where there is one; average and its steps
    cuda::PinnedBuffer<std::int32_t> average_step{};  // [rows] cuda::RowAverage::step_of
    TableShard* shard = nullptr;
  };
  const Cached* find(std::int64_t table) const;
  void fetch_average_steps(Cached& cached);

  std::vector<EmbeddingTable> tables_;
  bool averaging_;
  cuda::Stream& stream_;
  std::vector<Cached> caches_;
  cuda::PinnedBuffer<cuda::RowCacheCounts> counts_;  // [caches] of the last prefetch
  std::int64_t batches_ = 0;
  std::vector<std::span<std::byte>> homes_;
  std::optional<cuda::PageLock> lock_;
  std::optional<cuda::DeviceTables> at_home_;  // the cached tables as they lie on the host
  cuda::DeviceBuffer<cuda::RowAverage> averages_at_home_;
};

}  // namespace swallowtail
