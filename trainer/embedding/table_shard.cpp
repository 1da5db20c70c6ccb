#include "trainer/embedding/table_shard.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/random.h"
#include "parallel/error.h"

namespace swallowtail {

namespace {

constexpr std::int64_t kRowsForThreads = 256;  // below this a parallel region costs more than it gains

/// The average of a row that rested from `from` to `to` with these weights.
void catch_up(const Averaging& averaging, std::int64_t from, std::int64_t to, std::int64_t cols, const float* weights,
              float* average) {
  const auto rested = static_cast<float>(averaging.product(from, to));
  for (std::int64_t d = 0; d < cols; ++d) average[d] = weights[d] + rested * (average[d] - weights[d]);
}

}  // namespace

TableShard make_shard(const EmbeddingTable& table, std::int64_t index, const Shard& shard, const RowOrder& order,
                      std::uint64_t seed, bool averaging) {
  TableShard made;
  made.table = index;
  made.shard = shard;
  made.order = order;
  made.weights.resize(static_cast<std::size_t>(shard.rows * shard.cols));
  if (table.init != EmbeddingInit::zero) {
    const std::uint64_t purpose = random::purpose("embedding") ^ random::purpose(table.name);
#pragma omp parallel for schedule(static)
    for (std::int64_t i = 0; i < shard.rows; ++i) {
      const auto row = static_cast<std::uint64_t>(made.row_at(i));
      for (std::int64_t d = 0; d < shard.cols; ++d) {
        const std::uint64_t key = random::bits(seed, purpose, row, static_cast<std::uint64_t>(shard.first_col + d));
        const double unit = table.init == EmbeddingInit::normal ? random::normal(key) : 2 * random::uniform(key) - 1;
        made.weights[static_cast<std::size_t>(i * shard.cols + d)] = static_cast<float>(unit * table.init_scale);
      }
    }
  }
  made.state.assign(static_cast<std::size_t>(shard.rows * sparse_state_width(table.optimizer.kind, shard.cols)),
                    table.initial_accumulator);
  if (averaging) {
    made.average = made.weights;
    made.average_step.assign(static_cast<std::size_t>(shard.rows), 0);
  }
  return made;
}

void RowUpdate::gather(const EmbeddingTable& table, TableShard& shard, const OptimizerStep& step,
                       const RowGroups& groups, std::span<const float* const> bag_gradients) {
  const std::int64_t cols = shard.shard.cols;
  rows_ = groups.rows;
  gradients_.resize(static_cast<std::size_t>(touched() * cols));
#pragma omp parallel for schedule(static) if (touched() >= kRowsForThreads)
  for (std::int64_t group = 0; group < touched(); ++group) {
    float* gradient = gradients_.data() + group * cols;
    row_gradient(groups, group, bag_gradients, cols, gradient);
    if (table.optimizer.weight_decay != 0) add_decay(step, cols, shard.weights.data() + rows_[group] * cols, gradient);
  }
}

std::vector<float> RowUpdate::squares(const EmbeddingTable& table, const TableShard& shard) const {
  if (table.optimizer.kind != Optimizer::rowwise_adagrad) return {};
  const std::int64_t cols = shard.shard.cols, pieces = square_count(cols);
  std::vector<float> squares(static_cast<std::size_t>(touched() * pieces));
  for (std::int64_t group = 0; group < touched(); ++group)
    square_pieces(gradients_.data() + group * cols, cols, squares.data() + group * pieces);
  return squares;
}

void RowUpdate::apply(const EmbeddingTable& table, TableShard& shard, const OptimizerStep& step,
                      const std::optional<Averaging>& averaging, std::span<const float> squares) {
  const std::int64_t cols = shard.shard.cols;
  const std::int64_t state_width = sparse_state_width(step.kind, cols), pieces = square_count(table.dim);
  const auto new_share = static_cast<float>(averaging ? 1.0 - averaging->decay(step.step) : 0.0);
  std::int64_t bad_row = -1;
#pragma omp parallel for schedule(static) if (touched() >= kRowsForThreads)
  for (std::int64_t group = 0; group < touched(); ++group) {
    const std::int64_t row = rows_[group];
    const float* gradient = gradients_.data() + group * cols;
    if (!std::all_of(gradient, gradient + cols, [](float g) { return std::isfinite(g); })) {
#pragma omp atomic write
      bad_row = row;
      continue;
    }
    if (!shard.changed.empty()) shard.changed[static_cast<std::size_t>(row)] = 1;
    float* weights = shard.weights.data() + row * cols;
    float* average = averaging ? shard.average.data() + row * cols : nullptr;
    if (average) {  // the steps in which this row rested
      catch_up(*averaging, shard.average_step[row], step.step - 1, cols, weights, average);
      shard.average_step[row] = step.step;
    }
    apply_row(step, cols, weights, gradient, shard.state.data() + row * state_width,
              squares.empty() ? 0.0F
                              : mean_square(squares.subspan(static_cast<std::size_t>(group * pieces),
                                                            static_cast<std::size_t>(pieces)),
                                            table.dim));
    if (average)
      for (std::int64_t d = 0; d < cols; ++d) average[d] += new_share * (weights[d] - average[d]);
  }
  if (bad_row >= 0)
    throw Error{ExitCode::numbers, fmt::format("the gradient of an embedding row is not finite in step {}", step.step),
                fmt::format("table '{}' row {}", table.name, shard.row_at(bad_row)),
                "lower the learning rate, or look for extreme values in the data"};
}

void settle(TableShard& shard, const Averaging& averaging, std::int64_t step) {
  const std::int64_t cols = shard.shard.cols;
#pragma omp parallel for schedule(static) if (shard.shard.rows >= 4096)
  for (std::int64_t row = 0; row < shard.shard.rows; ++row) {
    if (shard.average_step[row] >= step) continue;
    catch_up(averaging, shard.average_step[row], step, cols, shard.weights.data() + row * cols,
             shard.average.data() + row * cols);
    shard.average_step[row] = step;
    if (!shard.changed.empty()) shard.changed[static_cast<std::size_t>(row)] = 1;
  }
}

}  // namespace swallowtail
