// How much a shard sends and computes.
#pragma once

#include <cstdint>

#include "trainer/embedding/shard_layout.h"

namespace swallowtail {

/// Below this much work (floats, an id counting 16: about 20 us) a parallel region costs more than it gains.
constexpr std::int64_t kWorkForThreads = 96 * 1024;

constexpr std::int64_t work_of(std::int64_t ids, std::int64_t cols) { return ids * (cols + 16); }

/// Vectors that go for so many bags of so many ids.
constexpr std::int64_t units(Unit unit, std::int64_t bags, std::int64_t ids) {
  if (unit == Unit::nothing) return 0;
  return unit == Unit::id ? ids : bags;
}

}  // namespace swallowtail
