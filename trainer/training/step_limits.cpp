#include "trainer/training/step_limits.h"

#include <omp.h>

#include <algorithm>

#include "kernels/machine_limits.h"
#include "kernels/stopwatch.h"
#include "trainer/models/plain_mlp.h"

namespace swallowtail {

namespace {

/// The places of a shard's rows among the ids of its feature.
std::vector<std::int64_t> rows_of(const TableShard& shard, std::int64_t table_rows, const JaggedIds& ids) {
  if (shard.shard.rows == table_rows && shard.order.is_identity()) return ids.values;
  std::vector<std::int64_t> rows;
  for (const std::int64_t id : ids.values) {
    const std::int64_t row = shard.order.position(id) - shard.shard.first_row;
    if (row >= 0 && row < shard.shard.rows) rows.push_back(row);
  }
  return rows;
}

/// This thread's part of the rows.
std::span<const std::int64_t> own_part(const std::vector<std::int64_t>& rows) {
  const Part part = part_of(0, std::ssize(rows), 16, omp_get_thread_num(), omp_get_num_threads());
  return std::span(rows).subspan(static_cast<std::size_t>(part.begin), static_cast<std::size_t>(part.end - part.begin));
}

/// The matrices of the model, in the order of its parameters.
std::vector<GemmLayer> layers_of(const Session& session) {
  const auto dense = static_cast<std::int64_t>(session.data.train->shape().dense.size());
  std::vector<GemmLayer> layers;
  for (const DenseParameters::Entry& entry : session.dense.entries()) {
    if (entry.shape.size() != 2) continue;
    const std::int64_t out = entry.shape[0], in = entry.shape[1];
    layers.push_back({in, out, !(entry.name.starts_with("bottom") && in == dense)});
  }
  return layers;
}

}  // namespace

StepLimits::StepLimits(Session& session, std::int64_t samples, const std::vector<Batch>& batches)
    : session_(session), gemm_(samples, layers_of(session)) {
  for (const Batch& batch : batches) {
    auto& of_batch = rows_.emplace_back();
    const auto shards = session.embedding.shards();
    for (std::size_t s = 0; s < shards.size(); ++s) {
      if (shards[s].shard.cols % 16 != 0) continue;  // gather_rows and modify_rows take whole registers
      const EmbeddingTable& table = session.tables[static_cast<std::size_t>(shards[s].table)];
      Rows rows{s, rows_of(shards[s], table.rows, batch.ids[static_cast<std::size_t>(table.feature)]), {}};
      rows.distinct = rows.all;
      std::ranges::sort(rows.distinct);
      rows.distinct.erase(std::ranges::unique(rows.distinct).begin(), rows.distinct.end());
      of_batch.push_back(std::move(rows));
    }
  }
}

double StepLimits::gather_s() {
  const auto& batch = rows_[gathered_++ % rows_.size()];
  const auto shards = session_.embedding.shards();
  gathered_bytes_ = 0;
  for (const Rows& rows : batch)
    gathered_bytes_ += 4.0 * static_cast<double>(std::ssize(rows.all) * shards[rows.shard].shard.cols);
  float sum = 0;
  const double seconds = seconds_of([&] {
#pragma omp parallel reduction(+ : sum)
    for (const Rows& rows : batch) {
      const TableShard& shard = shards[rows.shard];
      sum += gather_rows(shard.weights.data(), own_part(rows.all), shard.shard.cols);
    }
  });
  sink_ += sum;
  return seconds;
}

double StepLimits::modify_s() {
  const auto& batch = rows_[modified_++ % rows_.size()];
  auto shards = session_.embedding.shards();
  modified_bytes_ = 0;
  for (const Rows& rows : batch)
    modified_bytes_ += 8.0 * static_cast<double>(std::ssize(rows.distinct) * shards[rows.shard].shard.cols);
  return seconds_of([&] {
#pragma omp parallel
    for (const Rows& rows : batch) {
      TableShard& shard = shards[rows.shard];
      modify_rows(shard.weights.data(), own_part(rows.distinct), shard.shard.cols);
    }
  });
}

}  // namespace swallowtail
