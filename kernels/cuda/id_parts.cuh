// The idea: a part is the sort's key, so the sort's stability keeps the batch's order within each part, and a rank's
// message is a plain slice. One thread an id everywhere.
#pragma once

#include "kernels/cuda/embedding_backward.cuh"
#include "kernels/cuda/id_parts.h"

namespace swallowtail::cuda {

__device__ inline std::int64_t position_of(const RowParts& parts, std::int64_t row) {
  if (parts.factor == 1) return row;
  const auto a = static_cast<std::uint64_t>(row), b = static_cast<std::uint64_t>(parts.factor);
  const auto rows = static_cast<std::uint64_t>(parts.rows);
  if (parts.rows <= std::int64_t{1} << 31) return static_cast<std::int64_t>(a * b % rows);
  return static_cast<std::int64_t>(static_cast<random::Uint128>(a) * b % rows);
}

struct PartOfIds {
  JaggedOnDevice ids;
  RowParts parts;
  std::uint64_t* keys;
  std::uint32_t* items;
  unsigned* lengths;  // [count, bags], zeroed
  __device__ void operator()(SharedMemory) const {
    for (std::int64_t i = first_item(); i < ids.ids; i += item_stride()) {
      const std::int64_t part = last_not_above(parts.first_rows, parts.count, position_of(parts, ids.values[i]));
      keys[i] = static_cast<std::uint64_t>(part);
      items[i] = static_cast<std::uint32_t>(i);
      atomicAdd(lengths + part * ids.bags + last_not_above(ids.offsets, ids.bags, i), 1U);
    }
  }
};

struct TakeDealt {
  JaggedOnDevice ids;
  RowParts parts;
  const std::uint64_t* keys;    // sorted
  const std::uint32_t* places;  // sorted alike
  std::int64_t* rows;
  std::int64_t* starts;
  __device__ void operator()(SharedMemory) const {
    for (std::int64_t i = first_item(); i < ids.ids; i += item_stride()) {
      const auto part = static_cast<std::int64_t>(keys[i]);
      rows[i] = position_of(parts, ids.values[places[i]]) - parts.first_rows[part];
      // Parts between the neighbours' begin here too: they are empty.
      for (std::int64_t p = i == 0 ? 0 : static_cast<std::int64_t>(keys[i - 1]) + 1; p <= part; ++p) starts[p] = i;
      if (i == ids.ids - 1)
        for (std::int64_t p = part + 1; p <= parts.count; ++p) starts[p] = ids.ids;
    }
  }
};

/// lengths[bag] of the new order, at [1, bags]; [0] = 0.
struct PermuteLengths {
  JaggedOnDevice ids;
  const std::int64_t* order;
  std::int64_t bags_each;
  std::int64_t* lengths;
  __device__ void operator()(SharedMemory) const {
    for (std::int64_t bag = first_item(); bag < ids.bags; bag += item_stride()) {
      const std::int64_t from = order[bag / bags_each] * bags_each + bag % bags_each;
      lengths[bag + 1] = ids.offsets[from + 1] - ids.offsets[from];
      if (bag == 0) lengths[0] = 0;
    }
  }
};

struct PermuteValues {
  JaggedOnDevice ids;
  const float* weights;
  const std::int64_t* order;
  std::int64_t bags_each;
  const std::int64_t* offsets;  // of the new order
  std::int64_t* new_values;
  float* new_weights;
  __device__ void operator()(SharedMemory) const {
    for (std::int64_t i = first_item(); i < ids.ids; i += item_stride()) {
      const std::int64_t bag = last_not_above(offsets, ids.bags, i);
      const std::int64_t from = ids.offsets[order[bag / bags_each] * bags_each + bag % bags_each] + i - offsets[bag];
      new_values[i] = ids.values[from];
      if (weights) new_weights[i] = weights[from];
    }
  }
};

}  // namespace swallowtail::cuda
