// The fused row update over wide registers: a row's gradient is added up in registers, or in the first-level cache
// where it is wide, and meets the row's weights there. Included after a simd_*.h, under its target.
#pragma once

#include "kernels/cpu/half.h"
#include "kernels/cpu/row_prefetch.h"
#include "kernels/cpu/row_step_body.h"

namespace swallowtail::cpu {
namespace {

constexpr std::int64_t kItemsAhead = 4;      // gradients asked for before their use
constexpr std::int64_t kStepsTogether = 16;  // rows, one a lane

/// As Fp32Weights, of 16 bits.
template <bool kIsBf16>
struct HalfWeights {
  static constexpr std::int64_t kBytes = 2;
  std::uint16_t* row;
  std::uint64_t key;  // of this row's rounding

  F16 load(std::int64_t d, std::int64_t count) const {
    std::uint16_t copy[kLanes] = {};
    std::copy_n(row + d, std::min(count, kLanes), copy);
    return kIsBf16 ? F16::bf16(copy) : F16::fp16(copy);
  }
  void store(F16 values, std::int64_t d, std::int64_t count) const {
    float copy[kLanes];
    std::uint16_t rounded[kLanes], bits[kLanes];
    values.store(copy);
    for (std::int64_t i = 0; i < kLanes; i += 4) {
      const std::uint64_t draw = random::mix(key + static_cast<std::uint64_t>((d + i) / 4));
      std::memcpy(bits + i, &draw, sizeof draw);
    }
    for (std::int64_t i = 0; i < kLanes; ++i)
      rounded[i] = kIsBf16 ? to_bf16_stochastic(copy[i], bits[i]) : to_fp16_stochastic(copy[i], bits[i]);
    std::copy_n(rounded, std::min(count, kLanes), row + d);
  }
};

/// What rows are updated from.
struct Places {
  const RowGroups& groups;
  std::span<const float* const> bag_gradients;
  std::span<const float> bag_decay;
};

/// A row's gradient with its decay. kBlocks blocks of 16 columns; 0: any number, in `scratch` [padded dim].
template <int kBlocks, typename Weights>
[[gnu::always_inline]] inline Gradient<kBlocks> gradient_of(const OptimizerStep& step, const Places& places,
                                                            std::int64_t group, std::int64_t any_dim,
                                                            const Weights& weights, float* scratch) {
  const RowGroups& groups = places.groups;
  const std::int64_t dim = kBlocks == 0 ? any_dim : kBlocks * kLanes;
  const std::int64_t blocks = kBlocks == 0 ? (dim + kLanes - 1) / kLanes : kBlocks;
  Gradient<kBlocks> gradient(scratch);
  for (std::int64_t b = 0; b < blocks; ++b) gradient.set(b, F16::all(0));
  const RowGroups::Item* items = groups.items.data();
  const std::int64_t last = std::ssize(groups.items);
  for (std::int64_t i = groups.starts[group]; i < groups.starts[group + 1]; ++i) {
    if (i + kItemsAhead < last)
      ask_for<Ask::near, 4 * kBlocks * kLanes>(places.bag_gradients[items[i + kItemsAhead].bag], 4 * dim);
    const float* from = places.bag_gradients[items[i].bag];
    const F16 scale = F16::all(items[i].scale);
    for (std::int64_t b = 0; b < blocks; ++b) {
      const F16 values = kBlocks == 0 ? load_some(from + b * kLanes, dim - b * kLanes) : F16::load(from + b * kLanes);
      gradient.set(b, gradient.get(b) + scale * values);
    }
  }
  const float decay = step.weight_decay != 0 ? decay_of(step, groups, group, places.bag_decay) : 0.0F;
  if (decay != 0)
    for (std::int64_t b = 0; b < blocks; ++b)
      gradient.set(b, gradient.get(b) + F16::all(decay) * weights.load(b * kLanes, dim - b * kLanes));
  return gradient;
}

/// sums[r] = the squares of gradients[r], in the order that their sum means: fours of columns, one after another.
template <int kBlocks>
[[gnu::always_inline]] inline F16 sums_of_squares(
    const std::array<std::array<float, kBlocks * kLanes>, kStepsTogether>& gradients) {
  static_assert(kStepsTogether == kLanes && kSquareColumns == 4, "a lane a row, and fours of columns");
  F16 sums = F16::all(0);
  for (std::size_t d = 0; d < kBlocks * kLanes; d += kLanes) {
    F16 fours[4];  // of four rows each
    for (std::size_t q = 0; q < 4; ++q) {
      F16 squares[4];
      for (std::size_t r = 0; r < 4; ++r) {
        const F16 gradient = F16::load(gradients[4 * q + r].data() + d);
        squares[r] = gradient * gradient;
      }
      fours[q] = F16::add_fours_of(squares);
    }
    F16::transpose_fours(fours);
    for (const F16& four : fours) sums = sums + four;
  }
  return sums;
}

/// Row-wise Adagrad of the rows of groups [first, end), at most kStepsTogether: a row's rate waits for one long sum,
/// whose order is part of its meaning, for a root and a division, and those of all rows go side by side. Calls
/// ask(group) as it comes to a group, and bad(row) for rows whose gradient is not finite.
template <int kBlocks, typename WeightsOf, typename OnGroup, typename OnBad>
[[gnu::always_inline]] inline void step_together(const Rates& rates, const Places& places, std::int64_t first,
                                                 std::int64_t end, float* states, WeightsOf weights_of, OnGroup ask,
                                                 OnBad bad) {
  constexpr std::int64_t kDim = kBlocks * kLanes;
  alignas(64) std::array<std::array<float, kDim>, kStepsTogether> gradients;
  alignas(64) std::array<float, kStepsTogether> row_states{}, row_rates;
  const auto count = static_cast<std::size_t>(end - first);
  const std::int64_t* const rows = places.groups.rows.data() + first;
  for (std::size_t r = 0; r < count; ++r) {
    ask(first + static_cast<std::int64_t>(r));
    const auto gradient = gradient_of<kBlocks>(rates.step, places, first + static_cast<std::int64_t>(r), kDim,
                                               weights_of(rows[r], std::true_type{}), nullptr);
    for (std::int64_t b = 0; b < kBlocks; ++b) gradient.get(b).store(gradients[r].data() + b * kLanes);
    row_states[r] = states[rows[r]];
  }
  for (std::size_t r = count; r < kStepsTogether; ++r) gradients[r].fill(0);
  const F16 squares = sums_of_squares<kBlocks>(gradients);
  const F16 sum = F16::load(row_states.data()) + squares / F16::all(static_cast<float>(kDim));
  const F16 rate = rates.rate / (sqrt(sum) + rates.epsilon);
  // A sum that is finite has no number in it that is not.
  const bool all_good = squares.is_finite();
  sum.store(row_states.data());
  rate.store(row_rates.data());
  for (std::size_t r = 0; r < count; ++r) {
    const auto weights = weights_of(rows[r], std::true_type{});
    const float* const gradient = gradients[r].data();
    if (!all_good && !std::all_of(gradient, gradient + kDim, [](float g) { return std::isfinite(g); })) {
      bad(rows[r]);
      continue;
    }
    states[rows[r]] = row_states[r];
    const F16 own = F16::all(row_rates[r]);
    for (std::int64_t d = 0; d < kDim; d += kLanes)
      weights.store(weights.load(d, kLanes) - own * F16::load(gradient + d), d, kLanes);
  }
}

/// Bytes and places of a table's rows, and Weights of one row, which knows whether it is whole registers.
template <int kBlocks, typename WeightsOf>
std::int64_t walk(const OptimizerStep& step, const std::byte* rows, std::int64_t any_bytes, float* states,
                  std::int64_t any_dim, const Places& places, WeightsOf weights_of) {
  // Known when this is compiled wherever it can be: no loop over a row then asks where it ends.
  using IsWhole = std::bool_constant<(kBlocks > 0)>;
  constexpr std::int64_t kBytes = std::invoke_result_t<WeightsOf, std::int64_t, IsWhole>::kBytes;
  const std::int64_t dim = kBlocks == 0 ? any_dim : kBlocks * kLanes;
  const std::int64_t bytes = kBlocks == 0 ? any_bytes : kBlocks * kLanes * kBytes;
  const RowGroups& groups = places.groups;
  const std::int64_t state_width = sparse_state_width(step.kind, dim);
  std::int64_t bad_row = -1;
#pragma omp parallel if (is_worth_threads(groups, dim))
  {
    const GroupRange range = groups_of_thread(groups, omp_get_thread_num(), omp_get_num_threads());
    const Rates rates(step);
    std::vector<float> scratch(static_cast<std::size_t>(kBlocks == 0 ? dim + kLanes : 0));
    const bool is_rowwise = kBlocks > 0 && step.kind == Optimizer::rowwise_adagrad;
    const auto ask_row = [&]<Ask kAsk>(std::int64_t group) __attribute__((always_inline)) {
      if (group >= range.end) return;
      const std::int64_t row = groups.rows[group];
      ask_for<kAsk, kBlocks * kLanes * kBytes>(rows + row * bytes, bytes);
      if (is_rowwise)
        ask_for<kAsk, sizeof(float)>(states + row);
      else if (state_width > 0)
        ask_for<kAsk>(states + row * state_width, 4 * state_width);
    };
    // Long rows some together: the searches for their pages overlap, which the work between them would keep apart.
    constexpr std::int64_t kTogether = kBlocks * kLanes * kBytes >= 8 * kLine ? 8 : 1;
    const auto ask = [&](std::int64_t group) __attribute__((always_inline)) {
      if ((group - range.begin) % kTogether == 0)
        for (std::int64_t ahead = 0; ahead < kTogether; ++ahead)
          ask_row.template operator()<Ask::far>(group + kFarRows + ahead);
      ask_row.template operator()<Ask::near_to_write>(group + kNearRows);
    };
    for (std::int64_t ahead = 0; ahead < kFarRows; ++ahead) ask_row.template operator()<Ask::far>(range.begin + ahead);
    if (is_rowwise) {
      for (std::int64_t first = range.begin; first < range.end; first += kStepsTogether)
        step_together<std::max(kBlocks, 1)>(rates, places, first, std::min(first + kStepsTogether, range.end), states,
                                            weights_of, ask, [&](std::int64_t row) { keep_least(bad_row, row); });
    } else {
      for (std::int64_t group = range.begin; group < range.end; ++group) {
        ask(group);
        const std::int64_t row = groups.rows[group];
        const auto weights = weights_of(row, IsWhole{});
        const auto gradient = gradient_of<kBlocks>(step, places, group, dim, weights, scratch.data());
        if (!take_step(rates, weights, gradient, states + row * state_width, dim)) keep_least(bad_row, row);
      }
    }
  }
  return bad_row;
}

template <typename WeightsOf>
std::int64_t walk_any(const OptimizerStep& step, const std::byte* rows, std::int64_t bytes, float* states,
                      std::int64_t dim, const Places& places, WeightsOf weights_of) {
  switch (dim) {
    case 16:
      return walk<1>(step, rows, bytes, states, dim, places, weights_of);
    case 32:
      return walk<2>(step, rows, bytes, states, dim, places, weights_of);
    case 64:
      return walk<4>(step, rows, bytes, states, dim, places, weights_of);
    case 128:
      return walk<8>(step, rows, bytes, states, dim, places, weights_of);
    default:
      return walk<0>(step, rows, bytes, states, dim, places, weights_of);
  }
}

std::int64_t update(const OptimizerStep& step, const TableRows& table, const RowGroups& groups,
                    std::span<const float* const> bag_gradients, std::span<const float> bag_decay) {
  const auto weights_of = [&](std::int64_t row, auto whole) {
    return Fp32Weights<decltype(whole)::value>{table.weights + row * table.dim};
  };
  return walk_any(step, reinterpret_cast<const std::byte*>(table.weights), 4 * table.dim, table.state, table.dim,
                  {groups, bag_gradients, bag_decay}, weights_of);
}

template <bool kIsBf16>
std::int64_t update_half(const OptimizerStep& step, const PackedTableRows& table, const RoundingKey& key,
                         const RowGroups& groups, std::span<const float* const> bag_gradients) {
  const std::int64_t bytes = row_bytes(table.format, table.dim);
  const auto weights_of = [&](std::int64_t row, auto) {
    return HalfWeights<kIsBf16>{reinterpret_cast<std::uint16_t*>(table.bytes + row * bytes),
                                rounding_key(key, step.step, row)};
  };
  return walk_any(step, table.bytes, bytes, table.state, table.dim, {groups, bag_gradients, {}}, weights_of);
}

std::int64_t update_packed(const OptimizerStep& step, const PackedTableRows& table, const RoundingKey& key,
                           const RowGroups& groups, std::span<const float* const> bag_gradients) {
  return table.format == RowFormat::bf16 ? update_half<true>(step, table, key, groups, bag_gradients)
                                         : update_half<false>(step, table, key, groups, bag_gradients);
}

constexpr RowUpdateFamily kFamily{update, update_packed};

}  // namespace
}  // namespace swallowtail::cpu
