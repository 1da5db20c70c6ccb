#include "kernels/row_update.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/cpu/half.h"
#include "kernels/cpu/row_update_kernels.h"
#include "kernels/cpu/variants.h"

namespace swallowtail {

namespace cpu {

GroupRange groups_of_thread(const RowGroups& groups, std::int64_t thread, std::int64_t threads) noexcept {
  const auto begin_of = [&](std::int64_t t) {
    const std::int64_t item = std::ssize(groups.items) * t / threads;
    return std::lower_bound(groups.starts.begin(), groups.starts.end() - 1, item) - groups.starts.begin();
  };
  return {begin_of(thread), thread + 1 == threads ? std::ssize(groups.rows) : begin_of(thread + 1)};
}

bool is_worth_threads(const RowGroups& groups, std::int64_t dim) noexcept {
  constexpr std::int64_t kWork = 64 * 1024;  // floats, an item counting 16: about 20 us
  return std::ssize(groups.items) * (dim + 16) >= kWork;
}

float decay_of(const OptimizerStep& step, const RowGroups& groups, std::int64_t group,
               std::span<const float> bag_decay) noexcept {
  if (step.kind == Optimizer::adamw || step.weight_decay == 0 || bag_decay.empty())
    return step.kind == Optimizer::adamw ? 0.0F : step.weight_decay;
  float places = 0;
  for (std::int64_t i = groups.starts[group]; i < groups.starts[group + 1]; ++i)
    places += bag_decay[groups.items[i].bag];
  return step.weight_decay * places;
}

void keep_least(std::int64_t& least, std::int64_t row) noexcept {
#pragma omp critical(swallowtail_keep_least)
  if (least < 0 || row < least) least = row;
}

namespace {

/// Walks the groups; `update(group, gradient)` makes one row's step.
template <typename Update>
std::int64_t walk(const RowGroups& groups, std::span<const float* const> bag_gradients, std::int64_t dim,
                  Update update) {
  std::int64_t bad_row = -1;
#pragma omp parallel if (is_worth_threads(groups, dim))
  {
    const GroupRange range = groups_of_thread(groups, omp_get_thread_num(), omp_get_num_threads());
    std::vector<float> gradient(static_cast<std::size_t>(dim));
    for (std::int64_t group = range.begin; group < range.end; ++group) {
      row_gradient(groups, group, bag_gradients, dim, gradient.data());
      if (!update(group, gradient)) keep_least(bad_row, groups.rows[group]);
    }
  }
  return bad_row;
}

/// False, and the row is left alone, where the gradient with its decay is not finite.
bool step_row(OptimizerStep step, float decay, std::vector<float>& gradient, float* weights, float* state) {
  const auto dim = std::ssize(gradient);
  for (std::int64_t d = 0; decay != 0 && d < dim; ++d) gradient[d] += decay * weights[d];
  if (!std::ranges::all_of(gradient, [](float g) { return std::isfinite(g); })) return false;
  if (step.kind != Optimizer::adamw) step.weight_decay = 0;  // it is in the gradient
  update_row(step, dim, weights, gradient.data(), state);
  return true;
}

std::int64_t update(const OptimizerStep& step, const TableRows& table, const RowGroups& groups,
                    std::span<const float* const> bag_gradients, std::span<const float> bag_decay) {
  const std::int64_t state_width = sparse_state_width(step.kind, table.dim);
  return walk(groups, bag_gradients, table.dim, [&](std::int64_t group, std::vector<float>& gradient) {
    const std::int64_t row = groups.rows[group];
    return step_row(step, decay_of(step, groups, group, bag_decay), gradient, table.weights + row * table.dim,
                    table.state + row * state_width);
  });
}

std::int64_t update_packed(const OptimizerStep& step, const PackedTableRows& table, const RoundingKey& key,
                           const RowGroups& groups, std::span<const float* const> bag_gradients) {
  const std::int64_t state_width = sparse_state_width(step.kind, table.dim);
  const std::int64_t bytes = row_bytes(table.format, table.dim);
  return walk(groups, bag_gradients, table.dim, [&](std::int64_t group, std::vector<float>& gradient) {
    const std::int64_t row = groups.rows[group];
    std::byte* const packed = table.bytes + row * bytes;
    std::vector<float> weights(gradient.size());
    unpack_row(table.format, packed, table.dim, weights.data());
    const float decay = decay_of(step, groups, group, {});
    if (!step_row(step, decay, gradient, weights.data(), table.state + row * state_width)) return false;
    const std::uint64_t row_key = rounding_key(key, step.step, row);
    for (std::int64_t d = 0; d < table.dim; ++d) {
      const std::uint64_t draw = random::mix(row_key + static_cast<std::uint64_t>(d / 4)) >> (16 * (d % 4));
      const auto bits = static_cast<std::uint32_t>(draw & 0xffffU);
      const std::uint16_t half =
          table.format == RowFormat::bf16 ? to_bf16_stochastic(weights[d], bits) : to_fp16_stochastic(weights[d], bits);
      std::memcpy(packed + 2 * d, &half, sizeof half);
    }
    return true;
  });
}

const RowUpdateFamily& family() { return of_active_isa(row_update_scalar, row_update_avx2, row_update_avx512); }

}  // namespace

const RowUpdateFamily& row_update_scalar() {
  static constexpr RowUpdateFamily kFamily{update, update_packed};
  return kFamily;
}

}  // namespace cpu

std::int64_t update_rows(const OptimizerStep& step, const TableRows& table, const RowGroups& groups,
                         std::span<const float* const> bag_gradients, std::span<const float> bag_decay) {
  return cpu::family().update(step, table, groups, bag_gradients, bag_decay);
}

std::int64_t update_rows(const OptimizerStep& step, const PackedTableRows& table, const RoundingKey& key,
                         const RowGroups& groups, std::span<const float* const> bag_gradients) {
  return cpu::family().update_packed(step, table, key, groups, bag_gradients);
}

}  // namespace swallowtail
