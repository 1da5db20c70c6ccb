// What of a device's memory is left for embedding tables, and which of them lie in it as a whole: the largest ones give
// way to row caches (kernels/cuda/row_cache.h) where not all fit.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "trainer/device/device_trainer.h"

namespace swallowtail {

/// Device bytes that a trainer of one rank needs besides its tables, for batches of so many samples: parameters,
/// activations, batches on their way, and what sorting their ids takes. An estimate: ids by their means, twice, because
/// batches differ and buffers grow.
std::int64_t work_bytes(const DeviceModel& model, std::int64_t samples);

struct TableDemand {
  std::int64_t rows = 0, row_bytes = 0;  // of weights, optimizer state and average together
  std::int64_t batch_ids = 0;            // that a batch looks up
};

inline constexpr int kCacheWays = 16;  // a set's tags are one cache line of the device

/// Slots of each table's row cache, a multiple of kCacheWays; 0: the table lies in the device's memory as a whole. As
/// few tables as possible are cached, the largest first, so that the caches have at least half of `room` and slots for
/// four batches (this one and the next stay while they are trained, and sets fill unevenly). A cache's share grows with
/// its table. Nothing where not even one set a table fits.
/// room  bytes
std::optional<std::vector<std::int64_t>> plan_row_caches(std::span<const TableDemand> tables, std::int64_t room);

}  // namespace swallowtail
