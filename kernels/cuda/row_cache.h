// Tables that are larger than the device's memory: rows live in pinned host memory, and those that batches want in a
// set-associative cache on the device. prefetch() brings the rows of a batch before its step, so that the step itself
// (lookup, backward) sees nothing but an ordinary device table of slots(); it can run on another stream while the batch
// before it is trained. With fp32 rows the bits are those of a table that is on the device as a whole; 16-bit rows
// round by slot instead of row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cuda/device.h"
#include "kernels/cuda/row_cache_set.h"

namespace swallowtail::cuda {

struct RowCacheOptions {
  std::int64_t sets = 0;
  int ways = 16;
  Eviction eviction = Eviction::least_frequent;
};

/// What is cached of a row: its weights, say, and its optimizer's state.
struct CachedArray {
  unsigned char* host = nullptr;  // [rows, row_bytes], pinned memory, 16-byte aligned: kernels use it; or see restart()
  std::int64_t row_bytes = 0;     // a multiple of 4
};

/// Since the cache was made. `hits` and `misses` count a row once a batch.
struct RowCacheCounts {
  unsigned long long hits = 0, misses = 0, written_back = 0;
  unsigned long long homeless = 0;  // rows of the last prefetch that found their set full of rows in use
};

struct CacheLines;

class RowCache {
 public:
  /// Bytes of the device that a slot takes besides the rows of its arrays.
  static constexpr std::int64_t kSlotBytes = 2 * sizeof(std::int64_t) + sizeof(std::uint32_t) + sizeof(std::uint8_t);
  /// The host's arrays outlive this. Errors: Failure where sets, ways or a row_bytes is no size of a cache.
  RowCache(std::int64_t rows, std::span<const CachedArray> arrays, RowCacheOptions options, Stream& stream);

  /// Empties the cache without writing anything back; rows come from these arrays from now on, one an array, as
  /// CachedArray::host. Waits for the stream.
  void restart(std::span<unsigned char* const> hosts, Stream& stream);

  std::int64_t slots() const noexcept { return options_.sets * options_.ways; }
  /// [slots, row_bytes] of array k; the same address always.
  unsigned char* on_device(std::size_t k) const noexcept { return lines_[k].data(); }

  struct Batch {
    const std::int64_t* ids = nullptr;  // [count], device
    std::int64_t count = 0;
    std::int64_t step = 0;    // rising from batch to batch
    std::int64_t oldest = 0;  // the oldest step whose work may not be over: its rows stay, and those of later ones
    bool changes = true;      // the step will change the rows
  };
  /// Brings the batch's rows; those that leave are written back first. Returns at once.
  /// Where counts().homeless is not 0 afterwards, call it again with the same step and oldest == step, when the steps
  /// before are over; what is homeless then says that one batch's rows do not fit.
  /// Cost  a sort of the ids (24 bytes a pass), one walk over the set of each distinct row, and over the bus row_bytes
  ///       in for a miss and row_bytes out for a row that is written back.
  void prefetch(const Batch& batch, Stream& stream);

  /// slots[i] = where ids[i] lies, for ids of the last prefetched batch; on that prefetch's stream. slots may be ids.
  void find(const std::int64_t* ids, std::int64_t count, std::int64_t* slots, Stream& stream);

  /// Writes every changed row back; the cache stays as it is. Rows that a later step shall change must be prefetched
  /// again: until then they count as unchanged.
  void flush(Stream& stream);

  /// Waits for the stream.
  RowCacheCounts counts(Stream& stream) const;
  /// The same into pinned memory, without waiting.
  void fetch_counts(RowCacheCounts* pinned, Stream& stream) const;
  /// Which row lies in `slot`; kNoRow: none. Waits for the stream.
  std::int64_t row_in(std::int64_t slot, Stream& stream) const;

  /// A row's move between host and device.
  struct Move {
    std::int64_t slot, out, in;  // row that leaves the slot, and the one that comes; kNoRow: none
  };
  /// As kernels see an array on both sides.
  struct ArrayPair {
    unsigned char *host, *device;
    std::int64_t row_bytes;
  };

 private:
  CacheLines lines() const;

  std::int64_t rows_;
  RowCacheOptions options_;
  std::vector<DeviceBuffer<unsigned char>> lines_;
  std::vector<ArrayPair> pairs_;
  DeviceBuffer<ArrayPair> arrays_;
  DeviceBuffer<std::int64_t> row_of_, last_use_;  // [slots]
  DeviceBuffer<std::uint32_t> uses_;
  DeviceBuffer<std::uint8_t> is_changed_;
  DeviceBuffer<RowCacheCounts> counts_;
  DeviceBuffer<Move> moves_;
  DeviceBuffer<unsigned long long> move_count_;
  DeviceBuffer<std::uint64_t> keys_, sorted_keys_;
  DeviceBuffer<std::uint32_t> items_, sorted_items_;
  DeviceBuffer<std::byte> library_;
};

}  // namespace swallowtail::cuda
