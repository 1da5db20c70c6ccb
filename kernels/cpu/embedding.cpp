#include "kernels/embedding.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace swallowtail {

namespace {

constexpr int kDigitBits = 11;
constexpr std::size_t kDigits = std::size_t{1} << kDigitBits;
constexpr std::int64_t kBagsAThread = 64;  // below this a parallel region costs more than it gains

void add_scaled(const float* row, float scale, std::int64_t dim, float* out) noexcept {
  for (std::int64_t d = 0; d < dim; ++d) out[d] += scale * row[d];
}

/// Sums of the rows that `row_of` names, bag by bag: the one place that decides the order and the rounding.
template <typename RowOf>
void pool(RowOf row_of, const JaggedView& bags, Pooling pooling, std::int64_t cols, std::int64_t stride, float* out) {
  const std::int64_t batch = bags.bags(), first = bags.offsets[0];
  const auto weight = [&](std::int64_t i) { return bags.weights.empty() ? 1.0F : bags.weights[i]; };
#pragma omp parallel for schedule(static) if (batch >= 2 * kBagsAThread)
  for (std::int64_t bag = 0; bag < batch; ++bag) {
    const std::int64_t begin = bags.offsets[bag], end = bags.offsets[bag + 1];
    if (pooling == Pooling::none) {
      for (std::int64_t i = begin; i < end; ++i) {
        const float* row = row_of(i);
        float* to = out + (i - first) * stride;
        for (std::int64_t d = 0; d < cols; ++d) to[d] = weight(i) * row[d];
      }
      continue;
    }
    float* sum = out + bag * stride;
    std::memset(sum, 0, static_cast<std::size_t>(cols) * sizeof(float));
    for (std::int64_t i = begin; i < end; ++i) add_scaled(row_of(i), weight(i), cols, sum);
    if (pooling == Pooling::mean && end - begin > 1) {
      const float inverse = 1.0F / static_cast<float>(end - begin);
      for (std::int64_t d = 0; d < cols; ++d) sum[d] *= inverse;
    }
  }
}

}  // namespace

void pooled_lookup_forward(const TableView& table, const JaggedView& bags, Pooling pooling, float* out) {
  pool([&](std::int64_t i) { return table.weights + bags.values[i] * table.dim; }, bags, pooling, table.dim, table.dim,
       out);
}

void pool_rows(std::span<const float* const> rows, const JaggedView& bags, Pooling pooling, std::int64_t cols,
               std::int64_t stride, float* out) {
  pool([&](std::int64_t i) { return rows[i]; }, bags, pooling, cols, stride, out);
}

void group_by_row(const JaggedView& bags, std::int64_t table_rows, Pooling pooling, RowGroups& groups,
                  std::span<const std::int64_t> bag_sizes) {
  struct Entry {
    std::int64_t row;
    RowGroups::Item item;
  };
  thread_local std::vector<Entry> entries, scratch;
  entries.clear();
  for (std::int64_t bag = 0; bag < bags.bags(); ++bag) {
    const std::int64_t begin = bags.offsets[bag], end = bags.offsets[bag + 1];
    const std::int64_t size = bag_sizes.empty() ? end - begin : bag_sizes[bag];
    const float scale = pooling == Pooling::mean && size > 0 ? 1.0F / static_cast<float>(size) : 1.0F;
    for (std::int64_t i = begin; i < end; ++i)
      entries.push_back({bags.values[i],
                         {pooling == Pooling::none ? i - bags.offsets[0] : bag,
                          bags.weights.empty() ? scale : scale * bags.weights[i]}});
  }
  // Least significant digit first keeps the (bag, position) order within a row.
  scratch.resize(entries.size());
  const int bits = std::bit_width(static_cast<std::uint64_t>(std::max<std::int64_t>(table_rows - 1, 0)));
  for (int shift = 0; shift < bits; shift += kDigitBits) {
    std::array<std::size_t, kDigits + 1> begin{};
    const auto digit = [shift](const Entry& e) { return (static_cast<std::uint64_t>(e.row) >> shift) & (kDigits - 1); };
    for (const Entry& entry : entries) ++begin[digit(entry) + 1];
    for (std::size_t d = 0; d < kDigits; ++d) begin[d + 1] += begin[d];
    for (const Entry& entry : entries) scratch[begin[digit(entry)]++] = entry;
    entries.swap(scratch);
  }
  groups.rows.clear();
  groups.starts.clear();
  groups.items.resize(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i == 0 || entries[i].row != entries[i - 1].row) {
      groups.rows.push_back(entries[i].row);
      groups.starts.push_back(static_cast<std::int64_t>(i));
    }
    groups.items[i] = entries[i].item;
  }
  groups.starts.push_back(static_cast<std::int64_t>(entries.size()));
}

void row_gradient(const RowGroups& groups, std::int64_t group, std::span<const float* const> bag_gradients,
                  std::int64_t dim, float* gradient) noexcept {
  std::memset(gradient, 0, static_cast<std::size_t>(dim) * sizeof(float));
  for (std::int64_t i = groups.starts[group]; i < groups.starts[group + 1]; ++i)
    add_scaled(bag_gradients[groups.items[i].bag], groups.items[i].scale, dim, gradient);
}

}  // namespace swallowtail
