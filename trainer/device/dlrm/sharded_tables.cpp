#include "trainer/device/dlrm/sharded_tables.h"

#include <algorithm>
#include <numeric>
#include <ranges>

namespace swallowtail {

namespace {

constexpr std::int64_t kQuad = 4;  // vectors begin where the kernels read four floats at once

/// Where the own shards' vectors stand side by side, and the width of all.
std::vector<std::int64_t> columns_of(std::span<const HeldShard> held) {
  std::vector<std::int64_t> columns{0};
  for (const HeldShard& of : held) columns.push_back(columns.back() + (of.shard.cols + kQuad - 1) / kQuad * kQuad);
  return columns;
}

}  // namespace

ShardedTables::ShardedTables(const ShardedEmbedding& embedding, DeviceDlrm& network,
                             const std::optional<Averaging>& averaging, DeviceRanks& ranks, cuda::Stream& stream)
    : embedding_(embedding),
      network_(network),
      ranks_(ranks),
      stream_(stream),
      column_(columns_of(held(ranks.rank()))),
      tables_(held_tables(), column_.back(), [this](std::int64_t s) { return column_[static_cast<std::size_t>(s)]; },
              averaging, embedding.options().average_decay, stream, {.splits_statistic = splits()}),
      any_splits_(std::ranges::any_of(std::views::iota(std::int64_t{0}, std::ssize(embedding.tables())),
                                      [&](std::int64_t t) { return embedding.splits_row_statistic(t); })),
      forward_({"pooled vectors", embedding.options().forward, embedding.layout().hash, embedding.options().overlap},
               ranks),
      backward_(
          {"pooled gradients", embedding.options().backward, embedding.layout().hash, embedding.options().overlap},
          ranks),
      squares_shuffle_({"row squares", Wire::fp32, embedding.layout().hash, embedding.options().overlap}, ranks) {}

const std::vector<HeldShard>& ShardedTables::held(int rank) const {
  return embedding_.layout().shards[static_cast<std::size_t>(rank)];
}

bool ShardedTables::is_copy(const HeldShard& held) const {
  return embedding_.plan().tables[static_cast<std::size_t>(held.table)].sharding == Sharding::data_parallel;
}

bool ShardedTables::is_partial(const HeldShard& held) const {
  return held.shard.rows != embedding_.tables()[static_cast<std::size_t>(held.table)].rows;
}

/// The own shards as tables of their own. Parts of a mean are sums: its divisor comes with the ids' weights.
std::vector<EmbeddingTable> ShardedTables::held_tables() const {
  std::vector<EmbeddingTable> tables;
  for (const HeldShard& of : held(ranks_.rank())) {
    EmbeddingTable& table = tables.emplace_back(embedding_.tables()[static_cast<std::size_t>(of.table)]);
    table.rows = of.shard.rows;
    table.dim = of.shard.cols;
    if (is_partial(of)) table.pooling = Pooling::sum;
  }
  return tables;
}

std::vector<bool> ShardedTables::splits() const {
  std::vector<bool> splits;
  for (const HeldShard& of : held(ranks_.rank())) splits.push_back(embedding_.splits_row_statistic(of.table));
  return splits;
}

BagSet ShardedTables::bags() const {
  const IdExchange& input = embedding_.input();
  BagSet bags{.tables = {}, .bags = std::reduce(input.batch_sizes().begin(), input.batch_sizes().end())};
  for (const HeldShard& of : held(ranks_.rank())) {
    const OwnedStream& stream = input.owned(of.stream);
    const bool is_mean = embedding_.tables()[static_cast<std::size_t>(of.table)].pooling == Pooling::mean;
    bags.tables.push_back(
        {stream.view(), is_mean ? std::span<const std::int64_t>(stream.bag_sizes) : std::span<const std::int64_t>()});
  }
  return bags;
}

void ShardedTables::reserve(std::span<const std::int64_t> batch_sizes) {
  const bool same = std::ranges::equal(batch_sizes, sizes_) && network_.pooled() == pooled_ &&
                    network_.pooled_gradient() == pooled_gradient_;
  if (same) return;
  sizes_.assign(batch_sizes.begin(), batch_sizes.end());
  first_sample_ = byte_offsets(sizes_, 1);
  pooled_ = network_.pooled();
  pooled_gradient_ = network_.pooled_gradient();
  vectors_.reserve(first_sample_.back() * column_.back());
  describe_forward();
  describe_backward();
}

void ShardedTables::describe_forward() {
  const int self = ranks_.rank();
  const std::int64_t samples = sizes_[static_cast<std::size_t>(self)], width = column_.back();
  std::vector<ShuffleBlock> send, recv;
  for (int rank = 0; rank < ranks_.world_size(); ++rank)
    for (std::size_t s = 0; s < held(self).size(); ++s)
      if (rank == self || !is_copy(held(self)[s]))
        send.push_back({rank, vectors_.data() + first_sample_[static_cast<std::size_t>(rank)] * width + column_[s],
                        width, sizes_[static_cast<std::size_t>(rank)], held(self)[s].shard.cols});

  // Divided tables: where the parts of each stand, and what their sums are.
  const std::size_t count = embedding_.tables().size();
  std::vector<std::int64_t> first_part(count + 1, 0);
  const auto parts_of = [&](std::size_t t) {
    const auto& shards = embedding_.plan().tables[t].shards;
    return shards.front().rows == embedding_.tables()[t].rows ? 0 : std::ssize(shards);
  };
  for (std::size_t t = 0; t < count; ++t)
    first_part[t + 1] = first_part[t] + parts_of(t) * samples * embedding_.tables()[t].dim;
  parts_.reserve(first_part.back());
  std::vector<cuda::PartialSum> sums;
  for (std::size_t t = 0; t < count; ++t)
    if (parts_of(t) > 0)
      sums.push_back({.parts = parts_.data() + first_part[t],
                      .count = parts_of(t),
                      .vectors = samples,
                      .cols = embedding_.tables()[t].dim,
                      .out = network_.pooled() + network_.column_of(static_cast<std::int64_t>(t)),
                      .stride = network_.width()});
  pools_.emplace(sums, stream_);

  for (int rank = 0; rank < ranks_.world_size(); ++rank)
    for (const HeldShard& of : held(rank)) {
      if (rank != self && is_copy(of)) continue;
      const auto t = static_cast<std::size_t>(of.table);
      const auto& shards = embedding_.plan().tables[t].shards;
      const std::int64_t part = std::ranges::find(shards, rank, &Shard::rank) - shards.begin();
      if (is_partial(of))
        recv.push_back({rank, parts_.data() + first_part[t] + part * samples * of.shard.cols, of.shard.cols, samples,
                        of.shard.cols});
      else
        recv.push_back({rank, network_.pooled() + network_.column_of(of.table) + of.shard.first_col, network_.width(),
                        samples, of.shard.cols});
    }
  forward_.describe(send, recv, stream_);
}

void ShardedTables::describe_backward() {
  const int self = ranks_.rank();
  std::vector<ShuffleBlock> send, recv;
  for (int rank = 0; rank < ranks_.world_size(); ++rank) {
    for (const HeldShard& of : held(rank))
      send.push_back({rank, network_.pooled_gradient() + network_.column_of(of.table) + of.shard.first_col,
                      network_.width(), sizes_[static_cast<std::size_t>(self)], of.shard.cols});
    for (std::size_t s = 0; s < held(self).size(); ++s)
      recv.push_back({rank,
                      vectors_.data() + first_sample_[static_cast<std::size_t>(rank)] * column_.back() + column_[s],
                      column_.back(), sizes_[static_cast<std::size_t>(rank)], held(self)[s].shard.cols});
  }
  backward_.describe(send, recv, stream_);
}

void ShardedTables::start_lookup(const cuda::DeviceBags& bags, bool averaged, std::int64_t step) {
  tables_.lookup(bags, averaged, vectors_.data());
  forward_.start(step, stream_);
}

void ShardedTables::finish_lookup() {
  forward_.finish(stream_);
  cuda::add_parts(*pools_, stream_);
}

void ShardedTables::start_gradient(std::int64_t step) { backward_.start(step, stream_); }

void ShardedTables::update(const cuda::DeviceBags& bags, const cuda::StepFacts* facts, std::int64_t step,
                           unsigned long long* bad_row) {
  if (!any_splits_) return tables_.update(bags, vectors_.data(), facts, bad_row);
  squares_.reserve(bags.ids);
  cuda::zero(squares_.data(), bags.ids, stream_);  // places where no row begins travel too
  tables_.find_squares(bags, vectors_.data(), squares_.data());
  tables_.update_with(share_squares(bags.ids, step), bags, vectors_.data(), facts, bad_row);
}

/// The means over whole rows, from the squares of all owners of their columns: they got the same ids, so a row's ids
/// begin at the same place among the sorted ids of its table.
const float* ShardedTables::share_squares(std::int64_t ids, std::int64_t step) {
  struct Split {
    const std::vector<Shard>* shards;  // of the table, by column
    std::int64_t first, ids;           // places of the own shard's ids among the sorted ones
    std::int64_t dim, first_part;      // first_part: where the parts of its squares begin
  };
  std::vector<Split> split;
  std::int64_t first = 0, parts = 0;
  for (const HeldShard& of : held(ranks_.rank())) {
    const auto t = static_cast<std::size_t>(of.table);
    const std::int64_t count = std::ssize(embedding_.input().owned(of.stream).held().values);
    if (embedding_.splits_row_statistic(of.table)) {
      split.push_back({&embedding_.plan().tables[t].shards, first, count, embedding_.tables()[t].dim, parts});
      parts += count * std::ssize(*split.back().shards);
    }
    first += count;
  }
  square_parts_.reserve(parts);
  mean_squares_.reserve(ids);
  std::vector<ShuffleBlock> send, recv;
  for (int rank = 0; rank < ranks_.world_size(); ++rank)
    for (const Split& of : split) {
      const auto theirs = std::ranges::find(*of.shards, rank, &Shard::rank);
      if (theirs == of.shards->end()) continue;
      send.push_back({rank, squares_.data() + of.first, 1, of.ids, 1});
      recv.push_back(
          {rank, square_parts_.data() + of.first_part + (theirs - of.shards->begin()) * of.ids, 1, of.ids, 1});
    }
  std::vector<cuda::PartialSum> sums;
  for (const Split& of : split)
    sums.push_back({.parts = square_parts_.data() + of.first_part,
                    .count = std::ssize(*of.shards),
                    .vectors = of.ids,
                    .cols = 1,
                    .out = mean_squares_.data() + of.first,
                    .stride = 1,
                    .scale = 1.0F / static_cast<float>(of.dim)});
  squares_shuffle_.describe(send, recv, stream_);
  squares_shuffle_.start(step, stream_);
  squares_shuffle_.finish(stream_);
  cuda::add_parts(cuda::PartialSums(sums, stream_), stream_);
  return mean_squares_.data();
}

std::optional<DeviceOutcome::Row> ShardedTables::row_at(unsigned long long through_all) const {
  const auto found = tables_.row_at(through_all);
  if (!found) return {};
  const HeldShard& of = held(ranks_.rank())[static_cast<std::size_t>(found->table)];
  const RowOrder& order = embedding_.plan().tables[static_cast<std::size_t>(of.table)].order;
  return DeviceOutcome::Row{of.table, order.row_at(of.shard.first_row + found->row)};
}

std::int64_t ShardedTables::bytes_sent() const noexcept {
  return forward_.bytes_sent() + backward_.bytes_sent() + squares_shuffle_.bytes_sent();
}

double ShardedTables::exposed_seconds() const noexcept {
  return forward_.exposed_seconds() + backward_.exposed_seconds() + squares_shuffle_.exposed_seconds();
}

}  // namespace swallowtail
