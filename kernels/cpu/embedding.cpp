#include "kernels/embedding.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/embedding_kernels.h"
#include "kernels/cpu/variants.h"

namespace swallowtail {

namespace cpu {

BagRange bags_of_thread(const JaggedView& bags, std::int64_t thread, std::int64_t threads) noexcept {
  const std::int64_t batch = bags.bags(), first = bags.offsets[0];
  const std::int64_t work = bags.offsets[batch] - first + batch;
  const auto begin_of = [&](std::int64_t t) {
    if (t == 0) return std::int64_t{0};
    if (t == threads) return batch;
    std::int64_t low = 0, high = batch;  // the first bag before which at least t / threads of the work lies
    while (low < high) {
      const std::int64_t middle = (low + high) / 2;
      if (bags.offsets[middle] - first + middle < work / threads * t)
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  };
  return {begin_of(thread), begin_of(thread + 1)};
}

bool is_worth_threads(const JaggedView& bags, std::int64_t cols) noexcept {
  constexpr std::int64_t kWork = 128 * 1024;  // floats, a bag or an id counting 16: about 20 us
  return (bags.offsets[bags.bags()] - bags.offsets[0] + bags.bags()) * (cols + 16) >= kWork;
}

namespace {

void add_scaled(const float* row, float scale, std::int64_t dim, float* out) noexcept {
  for (std::int64_t d = 0; d < dim; ++d) out[d] += scale * row[d];
}

/// Sums of the rows that `row_of` names, bag by bag: the one place that decides the order and the rounding.
template <typename RowOf>
void pool(RowOf row_of, const JaggedView& bags, Pooling pooling, const PoolOutput& output) {
  const std::int64_t batch = bags.bags(), first = bags.offsets[0], cols = output.cols;
  const auto weight = [&](std::int64_t i) { return bags.weights.empty() ? 1.0F : bags.weights[i]; };
#pragma omp parallel for schedule(static) if (is_worth_threads(bags, cols))
  for (std::int64_t bag = 0; bag < batch; ++bag) {
    const std::int64_t begin = bags.offsets[bag], end = bags.offsets[bag + 1];
    if (pooling == Pooling::none) {
      for (std::int64_t i = begin; i < end; ++i) {
        const float* row = row_of(i);
        float* to = output.out + (i - first) * output.stride;
        for (std::int64_t d = 0; d < cols; ++d) to[d] = weight(i) * row[d];
      }
      continue;
    }
    float* sum = output.out + bag * output.stride;
    std::memset(sum, 0, static_cast<std::size_t>(cols) * sizeof(float));
    for (std::int64_t i = begin; i < end; ++i) add_scaled(row_of(i), weight(i), cols, sum);
    if (pooling == Pooling::mean && end - begin > 1) {
      const float inverse = 1.0F / static_cast<float>(end - begin);
      for (std::int64_t d = 0; d < cols; ++d) sum[d] *= inverse;
    }
  }
}

void pool_table(const PackedTableView& table, const JaggedView& bags, Pooling pooling, const PoolOutput& output) {
  const std::int64_t bytes = row_bytes(table.format, table.dim);
  const auto unpacked = [&](std::int64_t i) {
    thread_local std::vector<float> row;
    row.resize(static_cast<std::size_t>(table.dim));
    unpack_row(table.format, table.bytes + bags.values[i] * bytes, table.dim, row.data());
    return row.data();
  };
  pool(unpacked, bags, pooling, output);
}

void pool_scattered(std::span<const float* const> rows, const JaggedView& bags, Pooling pooling,
                    const PoolOutput& output) {
  pool([&](std::int64_t i) { return rows[i]; }, bags, pooling, output);
}

const EmbeddingFamily& family() { return of_active_isa(embedding_scalar, embedding_avx2, embedding_avx512); }

}  // namespace

const EmbeddingFamily& embedding_scalar() {
  static constexpr EmbeddingFamily kFamily{pool_table, pool_scattered};
  return kFamily;
}

}  // namespace cpu

void pooled_lookup_forward(const PackedTableView& table, const JaggedView& bags, Pooling pooling, float* out) {
  cpu::family().pool_table(table, bags, pooling, {out, table.dim, table.dim});
}

void pooled_lookup_forward(const TableView& table, const JaggedView& bags, Pooling pooling, float* out) {
  pooled_lookup_forward({reinterpret_cast<const std::byte*>(table.weights), RowFormat::fp32, table.rows, table.dim},
                        bags, pooling, out);
}

void pool_rows(std::span<const float* const> rows, const JaggedView& bags, Pooling pooling, std::int64_t cols,
               std::int64_t stride, float* out) {
  cpu::family().pool_rows(rows, bags, pooling, {out, cols, stride});
}

}  // namespace swallowtail
