// One set of the row cache: which way holds a row, which row must leave. Plain code over arrays, so that the device's
// kernels and the host's tests run the same. Internal linkage: each side compiles its own copy.
#pragma once

#include <cstdint>

#include "kernels/random.h"

namespace swallowtail::cuda {

/// Which row leaves a full set: the one that was used longest ago, or by the fewest batches (the longest ago of
/// equals).
enum class Eviction : std::uint8_t { least_recent, least_frequent };

/// The lines of one set, [ways] each, wherever they lie.
struct CacheSet {
  std::int64_t* rows;        // -1: an empty line
  std::int64_t* last_use;    // the last step whose batch wants the row
  std::uint32_t* uses;       // batches that wanted it since it came
  std::uint8_t* is_changed;  // the host's copy is old
  int ways;
};

namespace {

constexpr std::int64_t kNoRow = -1;

/// Rows that follow each other fall into different sets, and popular ones, which often do, with them.
constexpr std::int64_t set_of(std::int64_t row, std::int64_t sets) noexcept {
  return random::below(random::mix(static_cast<std::uint64_t>(row)), sets);
}

constexpr int way_of(const CacheSet& set, std::int64_t row) noexcept {
  for (int way = 0; way < set.ways; ++way)
    if (set.rows[way] == row) return way;
  return -1;
}

/// The way whose row must leave, an empty one first; -1 where every row is wanted by `oldest` or a later step, whose
/// work may be under way.
constexpr int victim_of(const CacheSet& set, Eviction eviction, std::int64_t oldest) noexcept {
  int best = -1;
  for (int way = 0; way < set.ways; ++way) {
    if (set.rows[way] == kNoRow) return way;
    if (set.last_use[way] >= oldest) continue;
    const bool is_rarer = best >= 0 && eviction == Eviction::least_frequent && set.uses[way] != set.uses[best]
                              ? set.uses[way] < set.uses[best]
                              : best >= 0 && set.last_use[way] < set.last_use[best];
    if (best < 0 || is_rarer) best = way;
  }
  return best;
}

/// The row of `way` is wanted by the batch of `step`, once however often it stands there.
constexpr void touch(const CacheSet& set, int way, std::int64_t step, bool changes) noexcept {
  set.last_use[way] = set.last_use[way] < step ? step : set.last_use[way];
  if (set.uses[way] != ~std::uint32_t{0}) ++set.uses[way];
  if (changes) set.is_changed[way] = 1;
}

/// Puts `row` into `way`. Returns the row that left and must be written back, or kNoRow.
constexpr std::int64_t replace(const CacheSet& set, int way, std::int64_t row, std::int64_t step,
                               bool changes) noexcept {
  const std::int64_t written_back = set.rows[way] != kNoRow && set.is_changed[way] != 0 ? set.rows[way] : kNoRow;
  set.rows[way] = row;
  set.last_use[way] = step;
  set.uses[way] = 1;
  set.is_changed[way] = changes ? 1 : 0;
  return written_back;
}

}  // namespace
}  // namespace swallowtail::cuda
