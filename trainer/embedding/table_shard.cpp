#include "trainer/embedding/table_shard.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/random.h"
#include "kernels/row_update.h"
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

/// The weight average of the rows that a step touches; nothing to do without averaging.
class AverageOfRows {
 public:
  AverageOfRows(TableShard& shard, const std::optional<Averaging>& averaging, std::int64_t step,
                std::span<const std::int64_t> rows)
      : shard_(shard), averaging_(averaging), step_(step), rows_(rows) {}
  /// The steps in which these rows rested.
  void before_update() {
    each_row([&](std::int64_t row, const float* weights, float* average) {
      catch_up(*averaging_, shard_.average_step[row], step_ - 1, shard_.shard.cols, weights, average);
      shard_.average_step[row] = step_;
    });
  }
  void after_update() {
    const auto new_share = static_cast<float>(averaging_ ? 1.0 - averaging_->decay(step_) : 0.0);
    each_row([&](std::int64_t, const float* weights, float* average) {
      for (std::int64_t d = 0; d < shard_.shard.cols; ++d) average[d] += new_share * (weights[d] - average[d]);
    });
  }

 private:
  template <typename Function>
  void each_row(Function function) {
    if (!averaging_) return;
    const std::int64_t cols = shard_.shard.cols, count = std::ssize(rows_);
#pragma omp parallel for schedule(static) if (count >= kRowsForThreads)
    for (std::int64_t i = 0; i < count; ++i)
      function(rows_[i], shard_.weights.data() + rows_[i] * cols, shard_.average.data() + rows_[i] * cols);
  }

  TableShard& shard_;
  const std::optional<Averaging>& averaging_;
  std::int64_t step_;
  std::span<const std::int64_t> rows_;
};

void mark_changed(TableShard& shard, std::span<const std::int64_t> rows) {
  if (shard.changed.empty()) return;
  for (const std::int64_t row : rows) shard.changed[static_cast<std::size_t>(row)] = 1;
}

}  // namespace

void refuse_row(const EmbeddingTable& table, std::int64_t row, std::int64_t step) {
  throw Error{ExitCode::numbers, fmt::format("the gradient of an embedding row is not finite in step {}", step),
              fmt::format("table '{}' row {}", table.name, row),
              "lower the learning rate, or look for extreme values in the data"};
}

TableShard make_shard(const EmbeddingTable& table, std::int64_t index, const Shard& shard, const RowOrder& order,
                      std::uint64_t seed, bool averaging) {
  TableShard made;
  made.table = index;
  made.shard = shard;
  made.order = order;
  const std::int64_t state_width = sparse_state_width(table.optimizer.kind, shard.cols);
  made.weights.resize(static_cast<std::size_t>(shard.rows * shard.cols));
  made.state.resize(static_cast<std::size_t>(shard.rows * state_width));
  if (averaging) {
    made.average.resize(made.weights.size());
    made.average_step.resize(static_cast<std::size_t>(shard.rows));
  }
  const std::uint64_t purpose = random::purpose("embedding") ^ random::purpose(table.name);
  // Rows that lie together are first written by one thread, as they are later updated.
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < shard.rows; ++i) {
    float* const weights = made.weights.data() + i * shard.cols;
    const auto row = static_cast<std::uint64_t>(made.row_at(i));
    for (std::int64_t d = 0; d < shard.cols; ++d) {
      if (table.init == EmbeddingInit::zero) {
        weights[d] = 0;
        continue;
      }
      const std::uint64_t key = random::bits(seed, purpose, row, static_cast<std::uint64_t>(shard.first_col + d));
      const double unit = table.init == EmbeddingInit::normal ? random::normal(key) : 2 * random::uniform(key) - 1;
      weights[d] = static_cast<float>(unit * table.init_scale);
    }
    std::fill_n(made.state.data() + i * state_width, state_width, table.initial_accumulator);
    if (!averaging) continue;
    std::copy_n(weights, shard.cols, made.average.data() + i * shard.cols);
    made.average_step[i] = 0;
  }
  return made;
}

void update_shard(const EmbeddingTable& table, TableShard& shard, const OptimizerStep& step,
                  const std::optional<Averaging>& averaging, const RowGroups& groups,
                  std::span<const float* const> bag_gradients) {
  mark_changed(shard, groups.rows);
  AverageOfRows average(shard, averaging, step.step, groups.rows);
  average.before_update();
  const std::int64_t bad_row =
      update_rows(step, {shard.weights.data(), shard.state.data(), shard.shard.cols}, groups, bag_gradients);
  if (bad_row >= 0) refuse_row(table, shard.row_at(bad_row), step.step);
  average.after_update();
}

void SplitRowUpdate::gather(const EmbeddingTable& table, TableShard& shard, const OptimizerStep& step,
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

std::vector<float> SplitRowUpdate::squares(const TableShard& shard) const {
  const std::int64_t cols = shard.shard.cols, pieces = square_count(cols);
  std::vector<float> squares(static_cast<std::size_t>(touched() * pieces));
  for (std::int64_t group = 0; group < touched(); ++group)
    square_pieces(gradients_.data() + group * cols, cols, squares.data() + group * pieces);
  return squares;
}

void SplitRowUpdate::apply(const EmbeddingTable& table, TableShard& shard, const OptimizerStep& step,
                           const std::optional<Averaging>& averaging, std::span<const float> squares) {
  const std::int64_t cols = shard.shard.cols;
  const std::int64_t state_width = sparse_state_width(step.kind, cols), pieces = square_count(table.dim);
  mark_changed(shard, rows_);
  AverageOfRows average(shard, averaging, step.step, rows_);
  average.before_update();
  std::int64_t bad_row = -1;
#pragma omp parallel for schedule(static) if (touched() >= kRowsForThreads)
  for (std::int64_t group = 0; group < touched(); ++group) {
    const std::int64_t row = rows_[group];
    const float* gradient = gradients_.data() + group * cols;
    if (!std::all_of(gradient, gradient + cols, [](float g) { return std::isfinite(g); })) {
#pragma omp critical
      bad_row = bad_row < 0 ? row : std::min(bad_row, row);
      continue;
    }
    apply_row(step, cols, shard.weights.data() + row * cols, gradient, shard.state.data() + row * state_width,
              mean_square(squares.subspan(static_cast<std::size_t>(group * pieces), static_cast<std::size_t>(pieces)),
                          table.dim));
  }
  if (bad_row >= 0) refuse_row(table, shard.row_at(bad_row), step.step);
  average.after_update();
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
