// Embedding tables in device memory: one lookup of all of them, one fused backward, their weight averages, and the way
// between the host's shards and the device. fp32, each a shard as the host has it: rows in the shard's order; or the
// lines of a row cache (table_caches.h), which a batch's rows must have been brought to.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "kernels/cuda/row_average.h"
#include "kernels/weight_average.h"
#include "trainer/device/device_trainer.h"
#include "trainer/device/dlrm/table_caches.h"
#include "trainer/embedding/embedding_table.h"
#include "trainer/embedding/table_shard.h"

namespace swallowtail {

struct DeviceTableOptions {
  std::vector<bool> splits_statistic{};     // cuda::DeviceTable's, [tables], or empty: none does
  std::vector<std::int64_t> cache_slots{};  // DeviceModel's
  cuda::Eviction eviction = cuda::Eviction::least_frequent;
};

class DeviceTableSet {
 public:
  /// tables: with the rows, columns (dim) and pooling of what lies here. column_of: where a table's vector stands in a
  /// row of `width` floats of the pooled vectors.
  DeviceTableSet(std::span<const EmbeddingTable> tables, std::int64_t width,
                 const std::function<std::int64_t(std::int64_t)>& column_of, const std::optional<Averaging>& averaging,
                 double average_decay, cuda::Stream& stream, const DeviceTableOptions& options = {});

  TableCaches& caches() noexcept { return caches_; }
  const TableCaches& caches() const noexcept { return caches_; }

  /// shards: one a table.
  void upload(std::span<TableShard> shards);
  /// Into the host's arrays. Rows of shards whose changes are counted (TableShard::changed) are marked where they
  /// differ; those of cached tables have been, step by step.
  void download(std::span<TableShard> shards);

  /// The rates of step `step` for update(), through `pinned` [tables], which stays as it is until the work is done.
  void set_rates(std::int64_t step, float rate_factor, cuda::Rates* pinned);
  void send_rates(const cuda::Rates* pinned);

  void lookup(const cuda::DeviceBags& bags, bool averaged, float* pooled);
  /// *bad_row as cuda::pooled_lookup_backward.
  void update(const cuda::DeviceBags& bags, const float* gradient, const cuda::StepFacts* facts,
              unsigned long long* bad_row);
  /// update() in two parts, where tables split their statistic: the squares of cuda::row_squares [ids], and what
  /// mean_squares their owners have made of them.
  void find_squares(const cuda::DeviceBags& bags, const float* gradient, float* squares);
  void update_with(const float* mean_squares, const cuda::DeviceBags& bags, const float* gradient,
                   const cuda::StepFacts* facts, unsigned long long* bad_row);
  void settle(std::int64_t step);

  std::int64_t count() const noexcept { return static_cast<std::int64_t>(tables_.size()); }
  /// Of the numbers that update() leaves in *bad_row; nothing where no row was bad. Waits for the stream.
  std::optional<DeviceOutcome::Row> row_at(unsigned long long through_all) const;

 private:
  struct Held {
    cuda::DeviceBuffer<float> weights, state, average;
    cuda::DeviceBuffer<std::int32_t> average_step;
  };
  cuda::DecayTable decays() const { return {log_prefix_.data(), log_prefix_.size() - 1, log_decay_}; }
  cuda::RowAverages averages() const;

  std::vector<EmbeddingTable> tables_;
  cuda::Stream& stream_;
  std::vector<Held> held_;  // without arrays where the table is cached
  std::optional<cuda::DeviceTables> weights_, averaged_;
  bool averaging_;
  TableCaches caches_;
  cuda::DeviceBuffer<cuda::RowAverage> row_averages_;
  cuda::DeviceBuffer<double> log_prefix_;
  double log_decay_ = 0;
  cuda::DeviceBuffer<cuda::Rates> rates_;
  cuda::BackwardScratch scratch_;
  const cuda::StepFacts* facts_ = nullptr;
};

}  // namespace swallowtail
