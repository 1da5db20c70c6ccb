// Ids on their way between ranks, on the device: dealt out to the owners of their rows before the exchange (what
// trainer/embedding/id_exchange.h does for streams that are divided by rows), and put in the order of tables after it.
// All pointers are device memory; calls return at once.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/cuda/device.h"

namespace swallowtail::cuda {

/// A table's rows in parts: position = row * factor mod rows (parallel/sharding/row_order.h; factor 1: as they stand),
/// and part p holds the positions first_rows[p] … first_rows[p + 1] - 1.
struct RowParts {
  std::int64_t rows = 0, factor = 1, count = 0;
  const std::int64_t* first_rows = nullptr;  // [count], first_rows[0] == 0, rising
};

struct JaggedOnDevice {
  const std::int64_t* values = nullptr;   // [ids]
  const std::int64_t* offsets = nullptr;  // [bags + 1]; offsets[0] == 0
  std::int64_t bags = 0, ids = 0;
};

/// Part by part, and within a part in the order of the batch:
struct DealtIds {
  DeviceBuffer<std::int64_t> rows;     // [ids] rows within their part
  DeviceBuffer<std::uint32_t> places;  // [ids] where each stood in `values`
  DeviceBuffer<std::int64_t> starts;   // [count + 1] of the parts
  DeviceBuffer<unsigned> lengths;      // [count, bags] ids of each bag in each part

  DeviceBuffer<std::uint64_t> keys, sorted_keys;  // scratch
  DeviceBuffer<std::uint32_t> items;
  DeviceBuffer<std::byte> library;
};

/// Ids: fewer than 2^32, in [0, rows).
/// Cost  a stable sort by the part alone (one pass up to 256 parts: 24 bytes an id), 8 bytes an id in and 12 out, and
///       an integer atomic an id for the lengths, which no order changes.
void deal_out(const JaggedOnDevice& ids, const RowParts& parts, DealtIds& out, Stream& stream);

/// Block k of the output is block order[k] of the input, a block being bags / count bags: from
/// [source rank, table, sample] to [table, source rank, sample].
struct PermutedBags {
  DeviceBuffer<std::int64_t> values;   // [ids]
  DeviceBuffer<std::int64_t> offsets;  // [bags + 1]
  DeviceBuffer<float> weights;         // [ids], where there were any
  DeviceBuffer<std::byte> library;
};

/// order [count], a permutation; weights [ids] or null.
/// Cost  16 bytes an id (24 with weights), and a search of log2(bags) cached reads.
void permute_bags(const JaggedOnDevice& ids, const float* weights, const std::int64_t* order, std::int64_t count,
                  PermutedBags& out, Stream& stream);

}  // namespace swallowtail::cuda
