// The variants of pooling: embedding.h says what they mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/embedding.h"

namespace swallowtail::cpu {

/// Where a bag's sum goes: cols floats at out + bag (none: id) * stride.
struct PoolOutput {
  float* out;
  std::int64_t cols, stride;
};

struct EmbeddingFamily {
  void (*pool_table)(const PackedTableView& table, const JaggedView& bags, Pooling pooling, const PoolOutput& output);
  void (*pool_rows)(std::span<const float* const> rows, const JaggedView& bags, Pooling pooling,
                    const PoolOutput& output);
};

const EmbeddingFamily& embedding_scalar();
const EmbeddingFamily& embedding_avx2();
const EmbeddingFamily& embedding_avx512();

/// The bags [begin, end) of one thread among `threads`: about the same number of ids and bags for each.
struct BagRange {
  std::int64_t begin, end;
};
BagRange bags_of_thread(const JaggedView& bags, std::int64_t thread, std::int64_t threads) noexcept;
/// Whether a parallel region gains more than it costs.
bool is_worth_threads(const JaggedView& bags, std::int64_t cols) noexcept;

}  // namespace swallowtail::cpu
