// The idea: ids are sorted by (set, row), so that a set's wishes stand together, each row's ids in a run. One thread
// takes a set: first it touches the rows that are there, so that no later wish drives them out, then it finds places
// for those that are not. No two threads share a set, so there are no locks, and who stays does not depend on timing.
// Moves are written to a list, whose order does depend on it and changes nothing; a warp then carries out each of them,
// the row that leaves first. A thread a set reads 16 tags of 8 bytes, one cache line, for each of its rows; a warp a
// set would read them together, but most sets are asked for one or two rows a batch, and 31 lanes would watch.
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/row_cache.h"

namespace swallowtail::cuda {

/// The sets on the device.
struct CacheLines {
  std::int64_t sets;
  int ways;
  std::int64_t *row_of, *last_use;
  std::uint32_t* uses;
  std::uint8_t* is_changed;

  __device__ CacheSet set(std::int64_t index) const {
    const std::int64_t at = index * ways;
    return {row_of + at, last_use + at, uses + at, is_changed + at, ways};
  }
};

struct CacheKeys {
  const std::int64_t* ids;
  std::int64_t count, sets;
  int row_bits;
  std::uint64_t* keys;
  std::uint32_t* items;
  __device__ void operator()(SharedMemory) const {
    for (std::int64_t i = first_item(); i < count; i += item_stride()) {
      keys[i] = static_cast<std::uint64_t>(set_of(ids[i], sets)) << row_bits | static_cast<std::uint64_t>(ids[i]);
      items[i] = static_cast<std::uint32_t>(i);  // the sort carries a value; nobody reads it
    }
  }
};

struct VisitSets {
  CacheLines lines;
  const std::uint64_t* keys;  // sorted
  std::int64_t count;
  int row_bits;
  std::int64_t step, oldest;
  bool changes;
  Eviction eviction;
  RowCacheCounts* counts;
  RowCache::Move* moves;
  unsigned long long* move_count;

  __device__ void operator()(SharedMemory) const {
    for (std::int64_t i = first_item(); i < count; i += item_stride())
      if (i == 0 || keys[i - 1] >> row_bits != keys[i] >> row_bits) visit(i);
  }

 private:
  __device__ void visit(std::int64_t begin) const {
    const auto index = static_cast<std::int64_t>(keys[begin] >> row_bits);
    const CacheSet set = lines.set(index);
    unsigned long long hits = 0, misses = 0, homeless = 0, written_back = 0;
    each_row(begin, [&](std::int64_t row) {
      const int way = way_of(set, row);
      if (way < 0) return;
      touch(set, way, step, changes);
      ++hits;
    });
    each_row(begin, [&](std::int64_t row) {
      if (way_of(set, row) >= 0) return;
      ++misses;
      // Of this batch's rows, those before are touched with `step` >= oldest, so they stay.
      const int way = victim_of(set, eviction, oldest < step ? oldest : step);
      if (way < 0) {
        ++homeless;
        return;
      }
      const std::int64_t out = replace(set, way, row, step, changes);
      if (out != kNoRow) ++written_back;
      moves[atomicAdd(move_count, 1ULL)] = {index * lines.ways + way, out, row};
    });
    if (hits > 0) atomicAdd(&counts->hits, hits);
    if (misses > 0) atomicAdd(&counts->misses, misses);
    if (written_back > 0) atomicAdd(&counts->written_back, written_back);
    if (homeless > 0) atomicAdd(&counts->homeless, homeless);
  }

  template <typename Use>
  __device__ void each_row(std::int64_t begin, Use use) const {
    const std::uint64_t set = keys[begin] >> row_bits, mask = (std::uint64_t{1} << row_bits) - 1;
    for (std::int64_t i = begin; i < count && keys[i] >> row_bits == set; ++i)
      if (i == begin || keys[i] != keys[i - 1]) use(static_cast<std::int64_t>(keys[i] & mask));
  }
};

/// A warp copies a row.
__device__ inline void copy_row(const unsigned char* from, unsigned char* to, std::int64_t bytes) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (bytes % 16 == 0) {  // 512 bytes a warp: whole packets of the bus
    for (std::int64_t at = 16 * lane; at < bytes; at += 512) store_vector(to + at, load_vector<float4>(from + at));
  } else {
    for (std::int64_t at = 4 * lane; at < bytes; at += 128)
      *reinterpret_cast<unsigned*>(to + at) = *reinterpret_cast<const unsigned*>(from + at);
  }
}

/// A warp a slot; blockIdx.y: the array.
struct WriteBackChanged {
  CacheLines lines;
  const RowCache::ArrayPair* arrays;

  __device__ void operator()(SharedMemory) const {
    const RowCache::ArrayPair& array = arrays[blockIdx.y];
    for (std::int64_t slot = first_item() / 32; slot < lines.sets * lines.ways; slot += item_stride() / 32) {
      const std::int64_t row = lines.row_of[slot];
      if (row != kNoRow && lines.is_changed[slot] != 0)
        copy_row(array.device + slot * array.row_bytes, array.host + row * array.row_bytes, array.row_bytes);
    }
  }
};

/// After it.
struct ForgetChanges {
  CacheLines lines;
  RowCacheCounts* counts;
  __device__ void operator()(SharedMemory) const {
    for (std::int64_t slot = first_item(); slot < lines.sets * lines.ways; slot += item_stride()) {
      if (lines.row_of[slot] == kNoRow || lines.is_changed[slot] == 0) continue;
      lines.is_changed[slot] = 0;
      atomicAdd(&counts->written_back, 1ULL);
    }
  }
};

/// A warp a move; blockIdx.y: the array.
struct MoveRows {
  const RowCache::ArrayPair* arrays;
  const RowCache::Move* moves;
  const unsigned long long* move_count;

  __device__ void operator()(SharedMemory) const {
    const RowCache::ArrayPair& array = arrays[blockIdx.y];
    const auto count = static_cast<std::int64_t>(*move_count);
    for (std::int64_t i = first_item() / 32; i < count; i += item_stride() / 32) {
      const RowCache::Move& move = moves[i];
      unsigned char* const line = array.device + move.slot * array.row_bytes;
      // A lane reads back what it wrote itself: both copies divide the row alike.
      if (move.out != kNoRow) copy_row(line, array.host + move.out * array.row_bytes, array.row_bytes);
      if (move.in != kNoRow) copy_row(array.host + move.in * array.row_bytes, line, array.row_bytes);
    }
  }
};

struct FindSlots {
  CacheLines lines;
  const std::int64_t* ids;
  std::int64_t* slots;
  std::int64_t count;
  __device__ void operator()(SharedMemory) const {
    for (std::int64_t i = first_item(); i < count; i += item_stride()) {
      const std::int64_t index = set_of(ids[i], lines.sets);
      slots[i] = index * lines.ways + way_of(lines.set(index), ids[i]);
    }
  }
};

struct EmptyLines {
  CacheLines lines;
  __device__ void operator()(SharedMemory) const {
    for (std::int64_t slot = first_item(); slot < lines.sets * lines.ways; slot += item_stride()) {
      lines.row_of[slot] = kNoRow;
      lines.last_use[slot] = kNoRow;
      lines.uses[slot] = 0;
      lines.is_changed[slot] = 0;
    }
  }
};

}  // namespace swallowtail::cuda
