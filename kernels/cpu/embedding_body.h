// Pooling over wide registers: a bag's sum stays in registers while its rows pass, and the rows to come are asked for
// ahead of time. Included after a simd_*.h, under its target.
#pragma once

#include "kernels/cpu/row_prefetch.h"

namespace swallowtail::cpu {
namespace {

constexpr std::int64_t kLanes = 16;

// How rows are read: sixteen values from column d on.
struct Fp32Row {
  static constexpr std::int64_t kBytes = 4, kHeader = 0;
  static F16 load(const std::byte* row, std::int64_t d) { return F16::load(reinterpret_cast<const float*>(row) + d); }
};
struct Bf16Row {
  static constexpr std::int64_t kBytes = 2, kHeader = 0;
  static F16 load(const std::byte* row, std::int64_t d) {
    return F16::bf16(reinterpret_cast<const std::uint16_t*>(row) + d);
  }
};
struct Fp16Row {
  static constexpr std::int64_t kBytes = 2, kHeader = 0;
  static F16 load(const std::byte* row, std::int64_t d) {
    return F16::fp16(reinterpret_cast<const std::uint16_t*>(row) + d);
  }
};
struct Int8Row {
  static constexpr std::int64_t kBytes = 1, kHeader = 4;  // the scale
  static F16 load(const std::byte* row, std::int64_t d) {
    float scale = 0;
    std::memcpy(&scale, row, sizeof scale);
    return F16::all(scale) * F16::int8(reinterpret_cast<const std::int8_t*>(row + kHeader) + d);
  }
};

/// The columns from d on of a row that ends before d + 16, with zeros behind.
template <typename Format>
F16 load_edge(const std::byte* row, std::int64_t d, std::int64_t cols) {
  std::byte copy[Format::kHeader + kLanes * Format::kBytes] = {};
  std::memcpy(copy, row, Format::kHeader);
  std::memcpy(copy + Format::kHeader, row + Format::kHeader + d * Format::kBytes,
              static_cast<std::size_t>((cols - d) * Format::kBytes));
  return Format::load(copy, 0);
}

void store_edge(F16 values, std::int64_t count, float* to) {
  float copy[kLanes];
  values.store(copy);
  std::copy_n(copy, count, to);
}

/// kBlocks * 16 columns from `d` on of every bag in the range; kEdge: the last block has less.
/// kRowBytes: of a row that is these columns alone; 0: there are others.
template <typename Format, int kBlocks, bool kEdge, std::int64_t kRowBytes, typename RowOf>
void pool_columns(const RowOf& row_of, const JaggedView& bags, Pooling pooling, const PoolOutput& output,
                  BagRange range, std::int64_t first_col) {
  const std::int64_t last = bags.offsets[range.end], bytes = Format::kHeader + output.cols * Format::kBytes;
  const std::int64_t begin_id = bags.offsets[range.begin], cols = output.cols;
  const float* weights = bags.weights.empty() ? nullptr : bags.weights.data();
  const auto block = [&](const std::byte* row, int b) {
    const std::int64_t d = first_col + b * kLanes;
    return kEdge && b == kBlocks - 1 ? load_edge<Format>(row, d, cols) : Format::load(row, d);
  };
  const auto store = [&](F16 values, int b, float* to) {
    const std::int64_t d = first_col + b * kLanes;
    if (kEdge && b == kBlocks - 1)
      store_edge(values, cols - d, to + d);
    else
      values.store(to + d);
  };
  // A later group of columns finds its rows near: the first one brought them.
  const bool asks = kRowBytes > 0 || first_col == 0;
  const auto ask_far = [&](std::int64_t i) __attribute__((always_inline)) {
    if (i < last) ask_for<Ask::far, kRowBytes>(row_of(i), bytes);
  };
  if (asks)
    for (std::int64_t i = begin_id; i < begin_id + kFarRows; ++i) ask_far(i);
  for (std::int64_t bag = range.begin; bag < range.end; ++bag) {
    const std::int64_t begin = bags.offsets[bag], end = bags.offsets[bag + 1];
    F16 sum[kBlocks];
    for (F16& one : sum) one = F16::all(0);
    for (std::int64_t i = begin; i < end; ++i) {
      if (asks) {
        ask_far(i + kFarRows);
        if (i + kNearRows < last) ask_for<Ask::near, kRowBytes>(row_of(i + kNearRows), bytes);
      }
      const std::byte* row = row_of(i);
      const F16 weight = F16::all(weights == nullptr ? 1.0F : weights[i]);
      if (pooling == Pooling::none) {
        float* to = output.out + (i - bags.offsets[0]) * output.stride;
        for (int b = 0; b < kBlocks; ++b) store(weight * block(row, b), b, to);
      } else if (weights == nullptr) {
        for (int b = 0; b < kBlocks; ++b) sum[b] = sum[b] + block(row, b);
      } else {
        for (int b = 0; b < kBlocks; ++b) sum[b] = sum[b] + weight * block(row, b);
      }
    }
    if (pooling == Pooling::none) continue;
    if (pooling == Pooling::mean && end - begin > 1) {
      const F16 inverse = F16::all(1.0F / static_cast<float>(end - begin));
      for (F16& one : sum) one = one * inverse;
    }
    float* to = output.out + bag * output.stride;
    for (int b = 0; b < kBlocks; ++b) store(sum[b], b, to);
  }
}

bool has_one_id_each(const JaggedView& bags, BagRange range) {
  if (bags.offsets[range.end] - bags.offsets[range.begin] != range.end - range.begin) return false;
  std::int64_t other = 0;
  for (std::int64_t bag = range.begin; bag < range.end; ++bag) other |= (bags.offsets[bag + 1] - bags.offsets[bag]) ^ 1;
  return other == 0;
}

/// Bags of one id each, of which nothing is added up: what is left is to ask for rows, read them and write them.
template <typename Format, int kBlocks, std::int64_t kRowBytes, typename RowOf>
void pool_single(const RowOf& row_of, const JaggedView& bags, const PoolOutput& output, BagRange range) {
  const std::int64_t first = bags.offsets[range.begin], count = range.end - range.begin;
  const float* weights = bags.weights.empty() ? nullptr : bags.weights.data() + first;
  float* to = output.out + range.begin * output.stride;
  for (std::int64_t i = 0; i < std::min(kFarRows, count); ++i) ask_for<Ask::far, kRowBytes>(row_of(first + i));
  for (std::int64_t i = 0; i < count; ++i, to += output.stride) {
    if (i + kFarRows < count) ask_for<Ask::far, kRowBytes>(row_of(first + i + kFarRows));
    if (i + kNearRows < count) ask_for<Ask::near, kRowBytes>(row_of(first + i + kNearRows));
    const std::byte* row = row_of(first + i);
    const F16 weight = F16::all(weights == nullptr ? 1.0F : weights[i]);
    // A sum begins with zero, which makes -0 into 0.
    for (int b = 0; b < kBlocks; ++b) (F16::all(0) + weight * Format::load(row, b * kLanes)).store(to + b * kLanes);
  }
}

/// Rows of kBlocks * 16 columns.
template <typename Format, int kBlocks, typename RowOf>
void pool_row(const RowOf& row_of, const JaggedView& bags, Pooling pooling, const PoolOutput& output, BagRange range) {
  constexpr std::int64_t kRowBytes = Format::kHeader + kBlocks * kLanes * Format::kBytes;
  if (pooling != Pooling::none && has_one_id_each(bags, range))
    return pool_single<Format, kBlocks, kRowBytes>(row_of, bags, output, range);
  pool_columns<Format, kBlocks, false, kRowBytes>(row_of, bags, pooling, output, range, 0);
}

/// Ranges of about 64 KiB of rows, so that rows are still near when their later columns are wanted.
template <typename Format, typename RowOf>
void pool_range(const RowOf& row_of, const JaggedView& bags, Pooling pooling, const PoolOutput& output,
                BagRange range) {
  constexpr std::int64_t kGroup = 8 * kLanes;
  const std::int64_t cols = output.cols;
  if (cols == 16) return pool_row<Format, 1>(row_of, bags, pooling, output, range);
  if (cols == 32) return pool_row<Format, 2>(row_of, bags, pooling, output, range);
  if (cols == 64) return pool_row<Format, 4>(row_of, bags, pooling, output, range);
  if (cols == 128) return pool_row<Format, 8>(row_of, bags, pooling, output, range);
  const std::int64_t near_ids = std::max<std::int64_t>(1, 64 * 1024 / (Format::kBytes * cols));
  for (std::int64_t bag = range.begin; bag < range.end;) {
    std::int64_t end = bag + 1;
    while (end < range.end && bags.offsets[end + 1] - bags.offsets[bag] <= near_ids) ++end;
    const BagRange part{bag, end};
    std::int64_t d = 0;
    for (; d + kGroup <= cols; d += kGroup) pool_columns<Format, 8, false, 0>(row_of, bags, pooling, output, part, d);
    for (; d + kLanes <= cols; d += kLanes) pool_columns<Format, 1, false, 0>(row_of, bags, pooling, output, part, d);
    if (d < cols) pool_columns<Format, 1, true, 0>(row_of, bags, pooling, output, part, d);
    bag = end;
  }
}

template <typename Format, typename RowOf>
void pool(const RowOf& row_of, const JaggedView& bags, Pooling pooling, const PoolOutput& output) {
#pragma omp parallel if (is_worth_threads(bags, output.cols))
  {
    const BagRange range = bags_of_thread(bags, omp_get_thread_num(), omp_get_num_threads());
    if (range.begin < range.end) pool_range<Format>(row_of, bags, pooling, output, range);
  }
}

template <typename Format>
void pool_format(const PackedTableView& table, const JaggedView& bags, Pooling pooling, const PoolOutput& output) {
  const std::int64_t bytes = row_bytes(table.format, table.dim);
  const std::int64_t* values = bags.values.data();
  const auto row_of = [&](std::int64_t i) { return table.bytes + values[i] * bytes; };
  pool<Format>(row_of, bags, pooling, output);
}

void pool_table(const PackedTableView& table, const JaggedView& bags, Pooling pooling, const PoolOutput& output) {
  switch (table.format) {
    case RowFormat::fp32:
      return pool_format<Fp32Row>(table, bags, pooling, output);
    case RowFormat::bf16:
      return pool_format<Bf16Row>(table, bags, pooling, output);
    case RowFormat::fp16:
      return pool_format<Fp16Row>(table, bags, pooling, output);
    case RowFormat::int8:
      return pool_format<Int8Row>(table, bags, pooling, output);
  }
}

void pool_scattered(std::span<const float* const> rows, const JaggedView& bags, Pooling pooling,
                    const PoolOutput& output) {
  const auto row_of = [&](std::int64_t i) { return reinterpret_cast<const std::byte*>(rows[i]); };
  pool<Fp32Row>(row_of, bags, pooling, output);
}

constexpr EmbeddingFamily kFamily{pool_table, pool_scattered};

}  // namespace
}  // namespace swallowtail::cpu
