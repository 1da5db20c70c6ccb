// This rank's shards in its device's memory, and the shuffles that join them with the samples of all ranks. An owner
// looks its rows up for the whole global batch: a matrix [samples of all ranks, columns of the own shards], from which
// each rank's samples go to it as they lie. A table's parts meet where the sample lives: columns side by side, pools of
// divided rows summed in the order of the rows; a copied table's vectors stay where they are looked up. The gradients
// go the same ways back, those of copied tables to every rank. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/cuda/partial_sums.h"
#include "trainer/device/dlrm/device_dlrm.h"
#include "trainer/device/dlrm/device_shuffle.h"
#include "trainer/device/dlrm/device_tables.h"
#include "trainer/device/dlrm/input_block.h"
#include "trainer/embedding/sharded_embedding.h"

namespace swallowtail {

class ShardedTables {
 public:
  ShardedTables(const ShardedEmbedding& embedding, DeviceDlrm& network, const std::optional<Averaging>& averaging,
                DeviceRanks& ranks, cuda::Stream& stream);

  DeviceTableSet& tables() noexcept { return tables_; }
  /// The bags of the current input for the own shards, each of every sample of the global batch. Borrowed from it.
  BagSet bags() const;
  /// Takes shapes: all ranks' parts, and the network's room for the own samples. Nothing may be under way.
  void reserve(std::span<const std::int64_t> batch_sizes);

  void start_lookup(const cuda::DeviceBags& bags, bool averaged, std::int64_t step);
  void finish_lookup();
  void start_gradient(std::int64_t step);
  void finish_gradient() { backward_.finish(stream_); }
  /// *bad_row as DeviceTableSet::update. Collective where row-wise statistics span column shards.
  void update(const cuda::DeviceBags& bags, const cuda::StepFacts* facts, std::int64_t step,
              unsigned long long* bad_row);
  /// Table of the model and row of the table. Of what update() has left in *bad_row.
  std::optional<DeviceOutcome::Row> row_at(unsigned long long through_all) const;

  std::int64_t bytes_sent() const noexcept;  // to other ranks, of all so far
  double exposed_seconds() const noexcept;

 private:
  const std::vector<HeldShard>& held(int rank) const;
  bool is_copy(const HeldShard& held) const;
  bool is_partial(const HeldShard& held) const;
  std::vector<EmbeddingTable> held_tables() const;
  std::vector<bool> splits() const;
  void describe_forward();
  void describe_backward();
  const float* share_squares(std::int64_t ids, std::int64_t step);

  const ShardedEmbedding& embedding_;
  DeviceDlrm& network_;
  DeviceRanks& ranks_;
  cuda::Stream& stream_;
  std::vector<std::int64_t> column_;  // [own shards + 1] where their vectors stand in a row of vectors_
  DeviceTableSet tables_;
  bool any_splits_;  // a table's row-wise statistic, here or on other ranks
  DeviceShuffle forward_, backward_, squares_shuffle_;
  std::vector<std::int64_t> sizes_, first_sample_;  // [P], [P + 1] of the shapes that are described
  const float *pooled_ = nullptr, *pooled_gradient_ = nullptr;
  cuda::DeviceBuffer<float> vectors_;  // [samples of all ranks, width]: looked up, then their gradients
  cuda::DeviceBuffer<float> parts_;    // of tables whose rows are divided: [table][part, own samples, dim]
  std::optional<cuda::PartialSums> pools_;
  cuda::DeviceBuffer<float> squares_, square_parts_, mean_squares_;
};

}  // namespace swallowtail
