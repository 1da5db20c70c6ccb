#include "trainer/device/dlrm/device_tables.h"

#include <algorithm>
#include <cmath>

#include "trainer/device/shard_arrays.h"

namespace swallowtail {

using cuda::DeviceTable;

namespace {

/// Sums of log d_t over the steps in which the decay still rises.
std::vector<double> log_prefix_of(const Averaging& averaging, double decay) {
  std::vector<double> sums{0};
  for (std::int64_t step = 1; averaging.decay(step) < decay; ++step)
    sums.push_back(sums.back() + std::log(averaging.decay(step)));
  return sums;
}

}  // namespace

DeviceTableSet::DeviceTableSet(std::span<const EmbeddingTable> tables, std::int64_t width,
                               const std::function<std::int64_t(std::int64_t)>& column_of,
                               const std::optional<Averaging>& averaging, double average_decay, cuda::Stream& stream,
                               const DeviceTableOptions& options)
    : tables_(tables.begin(), tables.end()),
      stream_(stream),
      averaging_(averaging.has_value()),
      caches_(tables, options.cache_slots, options.eviction, averaging_, stream) {
  const std::vector<bool>& splits = options.splits_statistic;
  std::vector<DeviceTable> described;
  std::vector<cuda::RowAverage> row_averages;
  for (std::int64_t t = 0; t < count(); ++t) {
    const EmbeddingTable& table = tables_[static_cast<std::size_t>(t)];
    Held& held = held_.emplace_back();
    std::optional<TableCaches::Rows> rows = caches_.lines(t);
    if (!rows) {
      held.weights = cuda::DeviceBuffer<float>(table.rows * table.dim);
      held.state = cuda::DeviceBuffer<float>(table.rows * sparse_state_width(table.optimizer.kind, table.dim));
      if (averaging_) {
        held.average = cuda::DeviceBuffer<float>(table.rows * table.dim);
        held.average_step = cuda::DeviceBuffer<std::int32_t>(table.rows);
      }
      rows = {table.rows, held.weights.data(), held.state.data(), {held.average.data(), held.average_step.data()}};
    }
    row_averages.push_back(rows->average);
    described.push_back({.rows = rows->weights,
                         .state = rows->state,
                         .row_count = rows->count,
                         .out_column = column_of(t),
                         .dim = static_cast<std::int32_t>(table.dim),
                         .pooling = table.pooling,
                         .splits_statistic = !splits.empty() && splits[static_cast<std::size_t>(t)]});
  }
  // The row of the pooled vectors may be wider than the last table's end.
  weights_.emplace(described, false, stream);
  if (weights_->width() > width) throw cuda::Failure("the tables' columns are wider than a row of pooled vectors");
  weights_->widen(width);
  rates_ = cuda::DeviceBuffer<cuda::Rates>(count());
  if (!averaging_) return;
  for (std::size_t t = 0; t < described.size(); ++t) described[t].rows = row_averages[t].average;
  averaged_.emplace(described, false, stream);
  averaged_->widen(width);
  const auto log_prefix = log_prefix_of(*averaging, average_decay);
  log_prefix_ = cuda::to_device<double>(log_prefix, stream);
  log_decay_ = std::log(average_decay);
  row_averages_ = cuda::to_device<cuda::RowAverage>(row_averages, stream);
  stream.wait();  // the copies read what ends here
}

void DeviceTableSet::upload(std::span<TableShard> shards) {
  caches_.restart(shards);
  for (std::size_t t = 0; t < held_.size(); ++t) {
    if (caches_.lines(static_cast<std::int64_t>(t))) continue;
    const TableShard& shard = shards[t];
    cuda::copy_to_device(held_[t].weights.data(), shard.weights.data(), held_[t].weights.size(), stream_);
    cuda::copy_to_device(held_[t].state.data(), shard.state.data(), held_[t].state.size(), stream_);
    stream_.wait();
    if (!averaging_) continue;
    std::vector<std::int32_t> steps;
    for (const std::int64_t step : shard.average_step) steps.push_back(static_cast<std::int32_t>(2 * step));
    cuda::copy_to_device(held_[t].average.data(), shard.average.data(), held_[t].average.size(), stream_);
    cuda::copy_to_device(held_[t].average_step.data(), steps.data(), held_[t].average_step.size(), stream_);
    stream_.wait();
  }
}

void DeviceTableSet::download(std::span<TableShard> shards) {
  caches_.flush();
  for (std::size_t t = 0; t < held_.size(); ++t) {
    if (caches_.lines(static_cast<std::int64_t>(t))) continue;
    TableShard& shard = shards[t];
    fetch_rows(shard.weights, held_[t].weights, shard, stream_);
    fetch_rows(shard.state, held_[t].state, shard, stream_);
    if (!averaging_) continue;
    fetch_rows(shard.average, held_[t].average, shard, stream_);
    std::vector<std::int32_t> steps(static_cast<std::size_t>(held_[t].average_step.size()));
    cuda::copy_to_host(steps.data(), held_[t].average_step.data(), held_[t].average_step.size(), stream_);
    stream_.wait();
    std::ranges::transform(steps, shard.average_step.begin(), [](std::int32_t step) { return std::int64_t{step / 2}; });
  }
}

void DeviceTableSet::set_rates(std::int64_t step, float rate_factor, cuda::Rates* pinned) {
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    OptimizerStep optimizer = tables_[t].optimizer;
    optimizer.learning_rate *= rate_factor;
    optimizer.step = step;
    pinned[t] = cuda::Rates(optimizer);
  }
}

void DeviceTableSet::send_rates(const cuda::Rates* pinned) {
  cuda::copy_to_device(rates_.data(), pinned, rates_.size(), stream_);
}

void DeviceTableSet::lookup(const cuda::DeviceBags& bags, bool averaged, float* pooled) {
  cuda::pooled_lookup_forward(averaged ? *averaged_ : *weights_, bags, pooled, stream_);
}

cuda::RowAverages DeviceTableSet::averages() const { return {&*weights_, row_averages_.data(), decays(), facts_}; }

void DeviceTableSet::update(const cuda::DeviceBags& bags, const float* gradient, const cuda::StepFacts* facts,
                            unsigned long long* bad_row) {
  cuda::group_by_row(*weights_, bags, scratch_, stream_);
  update_with(nullptr, bags, gradient, facts, bad_row);
}

void DeviceTableSet::find_squares(const cuda::DeviceBags& bags, const float* gradient, float* squares) {
  cuda::group_by_row(*weights_, bags, scratch_, stream_);
  cuda::row_squares(*weights_, bags, {.values = gradient, .width = weights_->width()}, {.table_rates = rates_.data()},
                    scratch_, squares, stream_);
}

void DeviceTableSet::update_with(const float* mean_squares, const cuda::DeviceBags& bags, const float* gradient,
                                 const cuda::StepFacts* facts, unsigned long long* bad_row) {
  facts_ = facts;
  if (averaging_) cuda::average_before_update(averages(), bags, stream_);
  cuda::update_grouped_rows(*weights_, bags, {.values = gradient, .width = weights_->width()},
                            {.table_rates = rates_.data(), .mean_squares = mean_squares}, scratch_, bad_row, stream_);
  if (averaging_) cuda::average_after_update(averages(), bags, stream_);
}

void DeviceTableSet::settle(std::int64_t step) {
  if (!averaging_) return;
  cuda::settle_averages(averages(), step, stream_);
  caches_.settle(decays(), step);
}

std::optional<DeviceOutcome::Row> DeviceTableSet::row_at(unsigned long long through_all) const {
  if (through_all == cuda::kNoBadRow) return {};
  const auto row = static_cast<std::int64_t>(through_all);
  std::int64_t t = 0;
  while (t + 1 < count() && weights_->on_host()[static_cast<std::size_t>(t) + 1].first_row <= row) ++t;
  return DeviceOutcome::Row{t, caches_.row_in(t, row - weights_->on_host()[static_cast<std::size_t>(t)].first_row)};
}

}  // namespace swallowtail
