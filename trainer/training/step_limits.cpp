#include "trainer/training/step_limits.h"

#include <omp.h>

#include <algorithm>
#include <chrono>

#include "kernels/machine_limits.h"
#include "trainer/models/plain_mlp.h"

namespace swallowtail {

namespace {

template <typename Work>
double seconds_of(Work work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

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

/// [begin, end) of thread `thread`'s part, in whole steps of 16.
std::pair<std::int64_t, std::int64_t> part(std::int64_t count) {
  const std::int64_t blocks = (count + 15) / 16, thread = omp_get_thread_num(), of = omp_get_num_threads();
  return {std::min(count, blocks * thread / of * 16), std::min(count, blocks * (thread + 1) / of * 16)};
}

}  // namespace

StepLimits::StepLimits(Session& session, std::int64_t samples, const std::vector<Batch>& batches)
    : session_(session), samples_(samples) {
  const auto dense = static_cast<std::int64_t>(session.data.train->shape().dense.size());
  for (const DenseParameters::Entry& entry : session.dense.entries()) {
    if (entry.shape.size() != 2) continue;
    const std::int64_t out = entry.shape[0], in = entry.shape[1];
    const bool is_first = entry.name.starts_with("bottom") && in == dense;
    const auto floats = [](std::int64_t rows, std::int64_t columns) {
      return std::vector<float>(static_cast<std::size_t>(rows * columns), 0.01F);
    };
    layers_.push_back({in, out, !is_first, floats(samples, padded(in)), floats(out, padded(in)),
                       floats(samples, padded(out)), floats(out, padded(in)), floats(samples, padded(in))});
    gemm_flops_ += 2.0 * static_cast<double>(samples * in * out) * (is_first ? 2 : 3);
  }
  for (Layer& layer : layers_)
    for (int which = 0; which < 3; ++which) {
      double best[2] = {1e9, 1e9};
      for (int repeat = 0; repeat < 6; ++repeat)
        for (const bool library : {false, true}) {
          const double seconds = seconds_of([&] { product(layer, which, library); });
          if (repeat > 0) best[library] = std::min(best[library], seconds);
        }
      layer.library_threads[which] = best[true] < best[false];
    }
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

void StepLimits::product(Layer& layer, int which, bool library_threads) const {
  const std::int64_t in = padded(layer.in), out = padded(layer.out);
  if (which == 2 && !layer.passes_on) return;
  // Samples [begin, end), or outputs of the weight's gradient.
  const auto multiply = [&](std::int64_t begin, std::int64_t end) {
    if (begin == end) return;
    if (which == 0)
      gemm(false, true, end - begin, layer.out, layer.in, layer.x.data() + begin * in, in, layer.weight.data(), in,
           false, layer.y.data() + begin * out, out);
    if (which == 1)
      gemm(true, false, end - begin, in, samples_, layer.y.data() + begin, out, layer.x.data(), in, false,
           layer.weight_gradient.data() + begin * in, in);
    if (which == 2)
      gemm(false, false, end - begin, in, layer.out, layer.y.data() + begin * out, out, layer.weight.data(), in, false,
           layer.x_gradient.data() + begin * in, in);
  };
  const std::int64_t count = which == 1 ? layer.out : samples_;
  if (library_threads) return multiply(0, count);
#pragma omp parallel
  {
    const auto [begin, end] = part(count);
    multiply(begin, end);
  }
}

double StepLimits::gemm_s() {
  return seconds_of([&] {
    for (Layer& layer : layers_)
      for (int which = 0; which < 3; ++which) product(layer, which, layer.library_threads[which]);
  });
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
      const auto [begin, end] = part(std::ssize(rows.all));
      const TableShard& shard = shards[rows.shard];
      sum += gather_rows(
          shard.weights.data(),
          std::span(rows.all).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)),
          shard.shard.cols);
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
      const auto [begin, end] = part(std::ssize(rows.distinct));
      TableShard& shard = shards[rows.shard];
      modify_rows(
          shard.weights.data(),
          std::span(rows.distinct).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)),
          shard.shard.cols);
    }
  });
}

}  // namespace swallowtail
