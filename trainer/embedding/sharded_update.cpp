// The second half of ShardedEmbedding's step: from the gradients that have arrived to updated rows.
#include <omp.h>

#include <algorithm>
#include <exception>
#include <functional>
#include <ranges>
#include <utility>

#include "trainer/embedding/amounts.h"
#include "trainer/embedding/sharded_embedding.h"

namespace swallowtail {

OptimizerStep ShardedEmbedding::optimizer_of(const HeldShard& held, std::int64_t step, float rate_factor) const {
  OptimizerStep optimizer = tables_[held.table].optimizer;
  optimizer.learning_rate *= rate_factor;
  optimizer.step = step;
  return optimizer;
}

/// One own shard's ids by row, and where the gradients of its bags lie. offsets: [rank] of what arrived for it.
void ShardedEmbedding::group_gradients(std::size_t own, std::span<const std::int64_t> offsets, Workspace& work) const {
  const int self = exchange_.rank();
  const HeldShard& held = layout_.shards[static_cast<std::size_t>(self)][own];
  const EmbeddingTable& table = tables_[held.table];
  const OwnedStream& stream = current_.owned(held.stream);
  const std::int64_t cols = held.shard.cols;
  const auto& first = table.pooling == Pooling::none ? stream.first_id : stream.first_bag;
  if (options_.backward != Wire::fp32) work.decoded.resize(static_cast<std::size_t>(first.back() * cols));
  work.gradients.resize(static_cast<std::size_t>(first.back()));
  for (int rank = 0; rank < exchange_.world_size(); ++rank) {
    const std::int64_t begin = first[static_cast<std::size_t>(rank)], end = first[static_cast<std::size_t>(rank) + 1];
    const std::byte* bytes = backward_.recv.data() + offsets[static_cast<std::size_t>(rank)];
    const float* values = reinterpret_cast<const float*>(bytes);
    if (rank == self &&
        stays_here(held, gradient_unit(held, stream.is_distinct[static_cast<std::size_t>(rank)]), options_.backward)) {
      values = gradient_.data() + table_start_[held.table];
    } else if (options_.backward != Wire::fp32) {
      float* to = work.decoded.data() + begin * cols;
      decode(options_.backward, bytes, end - begin, cols, to);
      values = to;
    }
    for (std::int64_t i = begin; i < end; ++i) work.gradients[i] = values + (i - begin) * cols;
  }
  group_by_row(stream.view(), held.shard.rows, table.pooling, work.groups, stream.bag_sizes);
}

void ShardedEmbedding::update(std::int64_t step, float rate_factor) {
  const int self = exchange_.rank(), world_size = exchange_.world_size();
  const auto& own = layout_.shards[static_cast<std::size_t>(self)];
  std::vector<std::vector<std::int64_t>> offsets;  // [own shard][rank] of its gradients
  std::vector<std::int64_t> next = backward_.recv_offsets;
  for (const HeldShard& held : own) {
    const OwnedStream& stream = current_.owned(held.stream);
    offsets.push_back(next);
    for (int rank = 0; rank < world_size; ++rank) {
      const Unit unit = gradient_unit(held, stream.is_distinct[static_cast<std::size_t>(rank)]);
      if (rank == self && stays_here(held, unit, options_.backward)) continue;
      const JaggedView bags = stream.of_source(rank);
      next[static_cast<std::size_t>(rank)] += wire_bytes(
          options_.backward, units(unit, bags.bags(), bags.offsets.back() - bags.offsets.front()), held.shard.cols);
    }
  }
  workspaces_.resize(static_cast<std::size_t>(std::max(1, omp_get_max_threads())));
  std::vector<std::size_t> whole, split;  // split: rows whose statistic spans ranks; they wait for each other's squares
  for (std::size_t s = 0; s < own.size(); ++s) (splits_row_statistic(own[s].table) ? split : whole).push_back(s);
  update_all(whole, offsets, step, rate_factor);
  if (std::ranges::none_of(std::views::iota(std::size_t{0}, tables_.size()),
                           [&](std::size_t t) { return splits_row_statistic(static_cast<std::int64_t>(t)); }))
    return;
  std::vector<SplitRowUpdate> waiting;
  for (const std::size_t s : split) {
    Workspace& work = workspaces_.front();
    group_gradients(s, offsets[s], work);
    waiting.emplace_back().gather(tables_[own[s].table], shards_[s], optimizer_of(own[s], step, rate_factor),
                                  work.groups, work.gradients);
  }
  const std::vector<std::vector<float>> squares = exchange_squares(split, waiting);
  for (std::size_t i = 0; i < split.size(); ++i)
    waiting[i].apply(tables_[own[split[i]].table], shards_[split[i]], optimizer_of(own[split[i]], step, rate_factor),
                     averaging_, squares[i]);
}

/// The updates of these shards: those that are more than a thread's part of the work one after another on all threads,
/// then the others side by side, the larger first. A shard's result does not depend on its threads.
void ShardedEmbedding::update_all(std::span<const std::size_t> of, std::span<const std::vector<std::int64_t>> offsets,
                                  std::int64_t step, float rate_factor) {
  const auto& own = layout_.shards[static_cast<std::size_t>(exchange_.rank())];
  std::vector<std::pair<std::int64_t, std::size_t>> by_work;
  std::int64_t all = 0;
  for (const std::size_t s : of) {
    by_work.emplace_back(work_of(std::ssize(current_.owned(own[s].stream).held().values), own[s].shard.cols), s);
    all += by_work.back().first;
  }
  std::ranges::stable_sort(by_work, std::greater<>(), [](const auto& entry) { return entry.first; });
  std::vector<std::exception_ptr> failures(own.size());
  const auto update_one = [&](std::size_t s, Workspace& work) {
    try {
      group_gradients(s, offsets[s], work);
      update_shard(tables_[own[s].table], shards_[s], optimizer_of(own[s], step, rate_factor), averaging_, work.groups,
                   work.gradients);
    } catch (...) {
      failures[s] = std::current_exception();
    }
  };
  const auto threads = static_cast<std::int64_t>(workspaces_.size());
  std::size_t next = 0;
  for (; next < by_work.size() && by_work[next].first * threads > all; ++next)
    update_one(by_work[next].second, workspaces_.front());
  const auto rest = std::ssize(by_work);
#pragma omp parallel for schedule(dynamic) if (all >= kWorkForThreads)
  for (std::int64_t i = static_cast<std::int64_t>(next); i < rest; ++i)
    update_one(by_work[static_cast<std::size_t>(i)].second,
               workspaces_[static_cast<std::size_t>(omp_get_thread_num())]);
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

bool ShardedEmbedding::splits_row_statistic(std::int64_t table) const {
  return plan_.tables[table].sharding == Sharding::column_wise && plan_.tables[table].shards.size() > 1 &&
         tables_[table].optimizer.kind == Optimizer::rowwise_adagrad;
}

/// The squares of all columns of the touched rows, brought together from the owners of the columns: they got the same
/// ids, so they have touched the same rows in the same order. [split shard][touched rows, pieces of the whole row].
std::vector<std::vector<float>> ShardedEmbedding::exchange_squares(std::span<const std::size_t> split,
                                                                   std::span<const SplitRowUpdate> updates) {
  const int self = exchange_.rank(), world_size = exchange_.world_size();
  const auto& own = layout_.shards[static_cast<std::size_t>(self)];
  std::vector<std::vector<float>> mine, whole(split.size());
  for (std::size_t i = 0; i < split.size(); ++i) {
    const EmbeddingTable& table = tables_[own[split[i]].table];
    mine.push_back(updates[i].squares(shards_[split[i]]));
    whole[i].resize(static_cast<std::size_t>(updates[i].touched() * square_count(table.dim)));
  }
  const auto each_part = [&](auto function) {
    for (int rank = 0; rank < world_size; ++rank)
      for (std::size_t i = 0; i < split.size(); ++i)
        if (const Shard* theirs = plan_.shard_on(rank, static_cast<std::size_t>(own[split[i]].table)))
          function(rank, i, *theirs);
  };
  squares_.clear(world_size);
  each_part([&](int rank, std::size_t i, const Shard& theirs) {
    squares_.send_bytes[rank] += static_cast<std::int64_t>(mine[i].size() * sizeof(float));
    squares_.recv_bytes[rank] +=
        updates[i].touched() * square_count(theirs.cols) * static_cast<std::int64_t>(sizeof(float));
  });
  squares_.expected_a_peer = vector_bytes_a_peer(Wire::fp32) / kSquareColumns;
  squares_.reserve();
  std::byte* out = squares_.send.data();
  each_part(
      [&](int, std::size_t i, const Shard&) { out = std::ranges::copy(std::as_bytes(std::span(mine[i])), out).out; });
  exchange_.run("row squares", current_.step(), squares_);
  const auto* from = reinterpret_cast<const float*>(squares_.recv.data());
  each_part([&](int, std::size_t i, const Shard& theirs) {
    const std::int64_t width = square_count(theirs.cols), all = square_count(tables_[own[split[i]].table].dim);
    for (std::int64_t row = 0; row < updates[i].touched(); ++row, from += width)
      std::copy_n(from, width, whole[i].data() + row * all + theirs.first_col / kSquareColumns);
  });
  return whole;
}

void ShardedEmbedding::settle(std::int64_t step) {
  if (!averaging_) return;
  for (TableShard& shard : shards_) swallowtail::settle(shard, *averaging_, step);
}

}  // namespace swallowtail
