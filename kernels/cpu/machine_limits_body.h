// The limits over wide registers. Included after a simd_*.h, under its target.
#pragma once

#include "kernels/cpu/row_prefetch.h"

namespace swallowtail::cpu {
namespace {

constexpr int kChains = 10;  // more than latency times units

/// Rows are asked for as the kernels do.
template <Ask kNear>
[[gnu::always_inline]] inline void ask_ahead(const float* table, std::span<const std::int64_t> ids, std::int64_t i,
                                             std::int64_t dim) {
  const auto count = static_cast<std::int64_t>(ids.size());
  if (i + kFarRows < count) ask_for<Ask::far>(table + ids[i + kFarRows] * dim, 4 * dim);
  if (i + kNearRows < count) ask_for<kNear>(table + ids[i + kNearRows] * dim, 4 * dim);
}

float gather(const float* table, std::span<const std::int64_t> ids, std::int64_t dim) {
  F16 sum[4] = {F16::all(0), F16::all(0), F16::all(0), F16::all(0)};
  const auto count = static_cast<std::int64_t>(ids.size());
  for (std::int64_t i = 0; i < count; ++i) {
    ask_ahead<Ask::near>(table, ids, i, dim);
    const float* row = table + ids[i] * dim;
    for (std::int64_t d = 0; d < dim; d += 16) sum[d / 16 % 4] = sum[d / 16 % 4] + F16::load(row + d);
  }
  return F16::halved_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

void copy(const float* table, std::span<const std::int64_t> ids, std::int64_t dim, float* out, std::int64_t out_rows) {
  const auto count = static_cast<std::int64_t>(ids.size());
  std::int64_t to = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    ask_ahead<Ask::near>(table, ids, i, dim);
    const float* row = table + ids[i] * dim;
    for (std::int64_t d = 0; d < dim; d += 16) F16::load(row + d).store(out + to * dim + d);
    to = to + 1 == out_rows ? 0 : to + 1;
  }
}

void modify(float* table, std::span<const std::int64_t> ids, std::int64_t dim) {
  const F16 step = F16::all(1e-6F);
  const auto count = static_cast<std::int64_t>(ids.size());
  for (std::int64_t i = 0; i < count; ++i) {
    ask_ahead<Ask::near_to_write>(table, ids, i, dim);
    float* row = table + ids[i] * dim;
    for (std::int64_t d = 0; d < dim; d += 16) (F16::load(row + d) + step).store(row + d);
  }
}

double multiply_add(std::int64_t rounds, float* sink) {
  using Widest = std::conditional_t<kHas512Bits, F16, F8>;
  Widest chain[kChains];
  for (Widest& one : chain) one = Widest::all(1);
  const Widest factor = Widest::all(0.999F), term = Widest::all(1e-3F);
  for (std::int64_t i = 0; i < rounds; ++i)
    for (Widest& one : chain) one = fma(one, factor, term);
  for (const Widest& one : chain) {
    float last[Widest::kWidth];
    one.store(last);
    *sink += last[0];
  }
  return 2.0 * Widest::kWidth * kChains * static_cast<double>(rounds);
}

constexpr MachineLimitsFamily kFamily{gather, copy, modify, multiply_add};

}  // namespace
}  // namespace swallowtail::cpu
