// The variants of the fused row update: row_update.h says what they mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/random.h"
#include "kernels/row_update.h"

namespace swallowtail::cpu {

struct RowUpdateFamily {
  std::int64_t (*update)(const OptimizerStep& step, const TableRows& table, const RowGroups& groups,
                         std::span<const float* const> bag_gradients, std::span<const float> bag_decay);
  std::int64_t (*update_packed)(const OptimizerStep& step, const PackedTableRows& table, const RoundingKey& key,
                                const RowGroups& groups, std::span<const float* const> bag_gradients);
};

const RowUpdateFamily& row_update_scalar();
const RowUpdateFamily& row_update_avx2();
const RowUpdateFamily& row_update_avx512();

/// The groups [begin, end) of one thread among `threads`: about the same number of items for each.
struct GroupRange {
  std::int64_t begin, end;
};
GroupRange groups_of_thread(const RowGroups& groups, std::int64_t thread, std::int64_t threads) noexcept;
/// Whether a parallel region gains more than it costs.
bool is_worth_threads(const RowGroups& groups, std::int64_t dim) noexcept;

/// What a row's weights enter its gradient with.
float decay_of(const OptimizerStep& step, const RowGroups& groups, std::int64_t group,
               std::span<const float> bag_decay) noexcept;

/// The least row that threads have named, or -1.
void keep_least(std::int64_t& least, std::int64_t row) noexcept;

/// Bias corrections of Adam: 1 / (1 - beta^t).
struct AdamScales {
  float first, second;
};
AdamScales adam_scales(const OptimizerStep& step) noexcept;

/// What the random bits of a row's rounding are mixed from: column d takes 16 bits of mix(row_key + d / 4), the lower
/// ones first.
inline std::uint64_t rounding_key(const RoundingKey& key, std::int64_t step, std::int64_t row) noexcept {
  return random::bits(key.seed, random::purpose("stochastic rounding") ^ key.table, static_cast<std::uint64_t>(step),
                      static_cast<std::uint64_t>(key.first_row + row));
}

}  // namespace swallowtail::cpu
