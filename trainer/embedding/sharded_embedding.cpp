#include "trainer/embedding/sharded_embedding.h"

#include <algorithm>
#include <ranges>
#include <utility>

#include "kernels/random.h"

namespace swallowtail {

static_assert(kColumnBlock % kSquareColumns == 0, "columns are split where the squares of a row are");

namespace {

std::int64_t units(Unit unit, std::int64_t bags, std::int64_t ids) {
  if (unit == Unit::nothing) return 0;
  return unit == Unit::id ? ids : bags;
}

/// What the mean of a bag is its sum times of; 1 for sums.
float inverse_size(const EmbeddingTable& table, const JaggedIds& ids, std::int64_t bag) {
  const std::int64_t size = ids.offsets[bag + 1] - ids.offsets[bag];
  return table.pooling == Pooling::mean && size > 1 ? 1.0F / static_cast<float>(size) : 1.0F;
}

/// Sums of bags become means, in the columns [0, cols) of `out` [B, dim].
void divide_by_sizes(const EmbeddingTable& table, const JaggedIds& ids, std::int64_t cols, float* out) {
  if (table.pooling != Pooling::mean) return;
  for (std::int64_t bag = 0; bag + 1 < std::ssize(ids.offsets); ++bag) {
    const float scale = inverse_size(table, ids, bag);
    for (std::int64_t d = 0; d < cols; ++d) out[bag * table.dim + d] *= scale;
  }
}

}  // namespace

ShardedEmbedding::ShardedEmbedding(std::vector<EmbeddingTable> tables, ShardingPlan plan, EmbeddingOptions options,
                                   Communicator& ranks)
    : tables_(std::move(tables)),
      plan_(std::move(plan)),
      options_(std::move(options)),
      layout_(make_layout(tables_, plan_)),
      exchange_(options_.all_to_all, options_.costs, options_.overlap, ranks,
                random::mix(layout_.hash ^ options_.seed)),
      current_(tables_, layout_, distinct_, {!options_.exact, options_.forward, options_.backward}),
      next_(tables_, layout_, distinct_, {!options_.exact, options_.forward, options_.backward}),
      arrived_rows_(tables_.size()) {
  if (options_.average_decay > 0) averaging_.emplace(options_.average_decay);
  for (const HeldShard& held : layout_.shards[static_cast<std::size_t>(ranks.rank())])
    shards_.push_back(make_shard(tables_[held.table], held.table, held.shard, plan_.tables[held.table].order,
                                 options_.seed, averaging_.has_value()));
}

const IdStream& ShardedEmbedding::stream_of(int owner, const HeldShard& held) const {
  return layout_.streams[static_cast<std::size_t>(owner)][held.stream];
}

Unit ShardedEmbedding::forward_unit(const HeldShard& held, bool is_distinct) const {
  const IdStream& stream = stream_of(held.shard.rank, held);
  if (stream.is_copy) return Unit::nothing;  // every rank looks its own copy up
  if (is_distinct || tables_[held.table].pooling == Pooling::none) return Unit::id;
  if (!stream.is_partial) return Unit::bag;
  return options_.exact ? Unit::id : Unit::filled_bag;
}

Unit ShardedEmbedding::gradient_unit(const HeldShard& held, bool is_distinct) const {
  if (is_distinct || tables_[held.table].pooling == Pooling::none) return Unit::id;
  return stream_of(held.shard.rank, held).is_partial ? Unit::filled_bag : Unit::bag;
}

void ShardedEmbedding::exchange_input(const Batch& batch, std::span<const std::int64_t> batch_sizes, std::int64_t step,
                                      bool for_update) {
  if (for_update && next_.is_under_way() && next_.step() == step)
    std::swap(current_, next_);
  else
    current_.start(batch, batch_sizes, step, for_update, exchange_);
  current_.finish(batch, exchange_);
}

void ShardedEmbedding::start_next_input(const Batch& batch, std::span<const std::int64_t> batch_sizes,
                                        std::int64_t step) {
  if (options_.overlap) next_.start(batch, batch_sizes, step, true, exchange_);
}

void ShardedEmbedding::send_next_ids() {
  if (next_.is_under_way()) next_.send_ids(exchange_);
}

void ShardedEmbedding::drop_next_input() {
  if (next_.is_under_way()) next_.finish(next_.batch(), exchange_);
}

void ShardedEmbedding::progress() {
  next_.progress();
  for (const auto* pending : {&forward_pending_, &backward_pending_})
    if (*pending) (*pending)->test();
}

void ShardedEmbedding::start_lookup(bool averaged) {
  averaged_ = averaged;
  const int self = exchange_.rank(), world_size = exchange_.world_size();
  const auto& own = layout_.shards[static_cast<std::size_t>(self)];
  const auto each = [&](int source, auto function) {
    for (std::size_t s = 0; s < own.size(); ++s) {
      const OwnedStream& stream = current_.owned(own[s].stream);
      const Unit unit = forward_unit(own[s], stream.is_distinct[static_cast<std::size_t>(source)]);
      const JaggedView bags = stream.of_source(source);
      function(shards_[s], unit, bags, units(unit, bags.bags(), bags.offsets.back() - bags.offsets.front()));
    }
  };
  forward_.clear(world_size);
  for (int rank = 0; rank < world_size; ++rank) {
    each(rank, [&](const TableShard& shard, Unit, const JaggedView&, std::int64_t vectors) {
      forward_.send_bytes[rank] += wire_bytes(options_.forward, vectors, shard.shard.cols);
    });
    for (const HeldShard& held : layout_.shards[static_cast<std::size_t>(rank)]) {
      const SentStream& sent = current_.sent(rank, held.stream);
      forward_.recv_bytes[rank] += wire_bytes(
          options_.forward, units(forward_unit(held, sent.is_distinct), sent.bags, sent.ids), held.shard.cols);
    }
  }
  forward_.expected_a_peer = vector_bytes_a_peer(options_.forward);
  forward_.reserve();
  std::byte* out = forward_.send.data();
  for (int rank = 0; rank < world_size; ++rank)
    each(rank, [&](const TableShard& shard, Unit unit, const JaggedView& bags, std::int64_t vectors) {
      const std::int64_t cols = shard.shard.cols;
      const TableView table{averaged ? shard.average.data() : shard.weights.data(), shard.shard.rows, cols};
      const bool is_fp32 = options_.forward == Wire::fp32;  // then the vectors are made where they are sent from
      if (!is_fp32) scratch_.resize(static_cast<std::size_t>(vectors * cols));
      float* const values = is_fp32 ? reinterpret_cast<float*>(out) : scratch_.data();
      // Parts of bags are summed; weights and means are the sample's rank's business where single rows are sent.
      if (unit == Unit::id)
        pooled_lookup_forward(table, {bags.values, bags.offsets, {}}, Pooling::none, values);
      else if (unit != Unit::nothing)
        pooled_lookup_forward(table, bags, unit == Unit::bag ? tables_[shard.table].pooling : Pooling::sum, values);
      if (!is_fp32) encode(options_.forward, values, vectors, cols, out);
      out += wire_bytes(options_.forward, vectors, cols);
    });
  forward_pending_ = exchange_.start("pooled vectors", current_.step(), forward_);
}

/// Mean bytes of one direction from rank to rank, made of what every rank knows.
std::int64_t ShardedEmbedding::vector_bytes_a_peer(Wire wire) const {
  std::int64_t samples = 0;
  for (const std::int64_t size : current_.batch_sizes()) samples += size;
  double floats = 0;
  for (const EmbeddingTable& table : tables_)
    floats += static_cast<double>(table.dim) * (table.pooling == Pooling::none ? table.mean_ids : 1.0);
  const std::int64_t peers = std::int64_t{exchange_.world_size()} * exchange_.world_size();
  return wire_bytes(wire, samples, static_cast<std::int64_t>(floats)) / peers;
}

/// Zeros of this batch's shapes, [table][vectors, dim].
void ShardedEmbedding::size_vectors() {
  table_start_.assign(1, 0);
  for (const EmbeddingTable& table : tables_) {
    const auto vectors =
        table.pooling == Pooling::none ? std::ssize(current_.batch().ids[table.feature].values) : current_.batch().size;
    table_start_.push_back(table_start_.back() + vectors * table.dim);
  }
  pooled_.assign(static_cast<std::size_t>(table_start_.back()), 0.0F);
  gradient_.assign(static_cast<std::size_t>(table_start_.back()), 0.0F);
}

void ShardedEmbedding::finish_lookup() {
  const int world_size = exchange_.world_size();
  size_vectors();
  look_up_own_copies();
  exchange_.wait(*forward_pending_);
  const std::byte* in = forward_.recv.data();
  arrived_.clear();
  if (options_.forward != Wire::fp32) {
    std::int64_t values = 0;
    for (int rank = 0; rank < world_size; ++rank)
      for (const HeldShard& held : layout_.shards[static_cast<std::size_t>(rank)]) {
        const SentStream& sent = current_.sent(rank, held.stream);
        values += units(forward_unit(held, sent.is_distinct), sent.bags, sent.ids) * held.shard.cols;
      }
    arrived_.resize(static_cast<std::size_t>(values));
  }
  float* decoded = arrived_.data();
  for (int rank = 0; rank < world_size; ++rank)
    for (const HeldShard& held : layout_.shards[static_cast<std::size_t>(rank)]) {
      const SentStream& sent = current_.sent(rank, held.stream);
      const std::int64_t vectors = units(forward_unit(held, sent.is_distinct), sent.bags, sent.ids);
      const float* values = reinterpret_cast<const float*>(in);
      if (options_.forward != Wire::fp32) {
        decode(options_.forward, in, vectors, held.shard.cols, decoded);
        values = decoded;
        decoded += vectors * held.shard.cols;
      }
      place_arrived(rank, held, values);
      in += wire_bytes(options_.forward, vectors, held.shard.cols);
    }
  pool_arrived_rows();
}

void ShardedEmbedding::look_up_own_copies() {
  for (const TableShard& shard : shards_) {
    if (plan_.tables[shard.table].sharding != Sharding::data_parallel) continue;
    const EmbeddingTable& table = tables_[shard.table];
    const JaggedIds& ids = current_.batch().ids[table.feature];
    const TableView view{averaged_ ? shard.average.data() : shard.weights.data(), table.rows, table.dim};
    pooled_lookup_forward(view, {ids.values, ids.offsets, ids.weights}, table.pooling, pooled(shard.table).data());
  }
}

/// Vectors of one shard become (part of) the pooled vectors of its table.
void ShardedEmbedding::place_arrived(int owner, const HeldShard& held, const float* vectors) {
  const EmbeddingTable& table = tables_[held.table];
  const SentStream& sent = current_.sent(owner, held.stream);
  const JaggedIds& ids = current_.batch().ids[table.feature];
  const Unit unit = forward_unit(held, sent.is_distinct);
  const std::int64_t cols = held.shard.cols;
  float* const out = pooled(held.table).data() + held.shard.first_col;
  const auto weight = [&](std::int64_t place) { return ids.weights.empty() ? 1.0F : ids.weights[place]; };
  if (unit == Unit::bag) {
    for (std::int64_t bag = 0; bag < sent.bags; ++bag) std::copy_n(vectors + bag * cols, cols, out + bag * table.dim);
  } else if (unit == Unit::filled_bag) {
    for (std::int64_t i = 0; i < sent.bags; ++i) {
      const std::int64_t bag = sent.bag_of[i];
      for (std::int64_t d = 0; d < cols; ++d) out[bag * table.dim + d] += vectors[i * cols + d];
    }
  } else if (unit == Unit::id) {
    const bool is_whole = sent.places.empty();  // every id of the feature, in order
    const std::int64_t count = is_whole ? sent.ids : static_cast<std::int64_t>(sent.places.size());
    if (options_.exact && table.pooling != Pooling::none) {
      auto& rows = arrived_rows_[held.table];
      rows.resize(ids.values.size());
      for (std::int64_t i = 0; i < count; ++i) rows[is_whole ? i : sent.places[i]] = vectors + i * cols;
      return;
    }
    std::int64_t bag = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t place = is_whole ? i : sent.places[i];
      const float* vector = vectors + (sent.is_distinct ? sent.slots[i] : i) * cols;
      while (place >= ids.offsets[bag + 1]) ++bag;
      const bool is_pooled = table.pooling != Pooling::none;
      float* to = out + (is_pooled ? bag : place) * table.dim;
      for (std::int64_t d = 0; d < cols; ++d) to[d] += weight(place) * vector[d];
    }
    // A divided table's sums are whole only when all owners' vectors have come.
    if (!stream_of(owner, held).is_partial) divide_by_sizes(table, ids, cols, out);
  }
}

/// What waits for the vectors of all owners: means of divided tables, and in exact mode the pooling of bags whose rows
/// came from several owners, as an owner of all rows would.
void ShardedEmbedding::pool_arrived_rows() {
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    const JaggedIds& ids = current_.batch().ids[tables_[t].feature];
    const Shard& first = plan_.tables[t].shards.front();
    if (!options_.exact && first.rows != tables_[t].rows)
      divide_by_sizes(tables_[t], ids, tables_[t].dim, pooled(static_cast<std::int64_t>(t)).data());
    if (arrived_rows_[t].empty()) continue;
    pool_rows(arrived_rows_[t], {{}, ids.offsets, ids.weights}, tables_[t].pooling, tables_[t].dim, tables_[t].dim,
              pooled(static_cast<std::int64_t>(t)).data());
    arrived_rows_[t].clear();
  }
}

/// The gradients that the owner of `held` waits for, in its units.
void ShardedEmbedding::gather_gradient(int owner, const HeldShard& held, float* vectors) const {
  const EmbeddingTable& table = tables_[held.table];
  const SentStream& sent = current_.sent(owner, held.stream);
  const JaggedIds& ids = current_.batch().ids[table.feature];
  const std::int64_t cols = held.shard.cols;
  const float* const gradient = gradient_.data() + table_start_[held.table] + held.shard.first_col;
  if (sent.is_distinct) {
    std::fill_n(vectors, sent.ids * cols, 0.0F);
    std::int64_t bag = 0;
    for (std::size_t i = 0; i < sent.places.size(); ++i) {
      const std::int64_t place = sent.places[i];
      while (place >= ids.offsets[bag + 1]) ++bag;
      const bool is_pooled = table.pooling != Pooling::none;
      const float* from = gradient + (is_pooled ? bag : place) * table.dim;
      const float scale =
          (ids.weights.empty() ? 1.0F : ids.weights[place]) * (is_pooled ? inverse_size(table, ids, bag) : 1.0F);
      float* to = vectors + sent.slots[i] * cols;
      for (std::int64_t d = 0; d < cols; ++d) to[d] += scale * from[d];
    }
    return;
  }
  const bool by_id = table.pooling == Pooling::none;
  const std::vector<std::int64_t>& which = by_id ? sent.places : sent.bag_of;  // empty: all, in order
  const std::int64_t count = by_id ? sent.ids : sent.bags;
  for (std::int64_t i = 0; i < count; ++i)
    std::copy_n(gradient + (which.empty() ? i : which[i]) * table.dim, cols, vectors + i * cols);
}

void ShardedEmbedding::start_gradient() {
  const int self = exchange_.rank(), world_size = exchange_.world_size();
  backward_.clear(world_size);
  const auto sent_units = [&](int rank, const HeldShard& held) {
    const SentStream& sent = current_.sent(rank, held.stream);
    return units(gradient_unit(held, sent.is_distinct), sent.bags, sent.ids);
  };
  for (int rank = 0; rank < world_size; ++rank) {
    for (const HeldShard& held : layout_.shards[static_cast<std::size_t>(rank)])
      backward_.send_bytes[rank] += wire_bytes(options_.backward, sent_units(rank, held), held.shard.cols);
    for (const HeldShard& held : layout_.shards[static_cast<std::size_t>(self)]) {
      const OwnedStream& stream = current_.owned(held.stream);
      const JaggedView bags = stream.of_source(rank);
      const Unit unit = gradient_unit(held, stream.is_distinct[static_cast<std::size_t>(rank)]);
      backward_.recv_bytes[rank] += wire_bytes(
          options_.backward, units(unit, bags.bags(), bags.offsets.back() - bags.offsets.front()), held.shard.cols);
    }
  }
  backward_.expected_a_peer = vector_bytes_a_peer(options_.backward);
  backward_.reserve();
  std::byte* out = backward_.send.data();
  for (int rank = 0; rank < world_size; ++rank)
    for (const HeldShard& held : layout_.shards[static_cast<std::size_t>(rank)]) {
      const std::int64_t vectors = sent_units(rank, held);
      if (options_.backward == Wire::fp32) {
        gather_gradient(rank, held, reinterpret_cast<float*>(out));
      } else {
        scratch_.resize(static_cast<std::size_t>(vectors * held.shard.cols));
        gather_gradient(rank, held, scratch_.data());
        encode(options_.backward, scratch_.data(), vectors, held.shard.cols, out);
      }
      out += wire_bytes(options_.backward, vectors, held.shard.cols);
    }
  backward_pending_ = exchange_.start("pooled gradients", current_.step(), backward_);
}

void ShardedEmbedding::update(std::int64_t step, float rate_factor) {
  const int self = exchange_.rank(), world_size = exchange_.world_size();
  const auto& own = layout_.shards[static_cast<std::size_t>(self)];
  std::vector<std::int64_t> source_offset = backward_.recv_offsets;  // of the next shard's gradients
  std::vector<const float*> gradients;
  std::vector<std::size_t> split;  // shards whose rows' statistic spans ranks: they wait for each other's squares
  std::vector<SplitRowUpdate> waiting;
  const auto optimizer_of = [&](std::size_t s) {
    OptimizerStep optimizer = tables_[own[s].table].optimizer;
    optimizer.learning_rate *= rate_factor;
    optimizer.step = step;
    return optimizer;
  };
  for (std::size_t s = 0; s < own.size(); ++s) {
    const EmbeddingTable& table = tables_[own[s].table];
    const OwnedStream& stream = current_.owned(own[s].stream);
    const std::int64_t cols = own[s].shard.cols;
    const auto& first = table.pooling == Pooling::none ? stream.first_id : stream.first_bag;
    if (options_.backward != Wire::fp32) scratch_.resize(static_cast<std::size_t>(first.back() * cols));
    gradients.clear();
    for (int rank = 0; rank < world_size; ++rank) {
      const std::int64_t vectors = first[static_cast<std::size_t>(rank) + 1] - first[static_cast<std::size_t>(rank)];
      const std::byte* bytes = backward_.recv.data() + source_offset[rank];
      const float* values = reinterpret_cast<const float*>(bytes);
      if (options_.backward != Wire::fp32) {
        float* to = scratch_.data() + first[static_cast<std::size_t>(rank)] * cols;
        decode(options_.backward, bytes, vectors, cols, to);
        values = to;
      }
      for (std::int64_t i = 0; i < vectors; ++i) gradients.push_back(values + i * cols);
      source_offset[rank] += wire_bytes(options_.backward, vectors, cols);
    }
    group_by_row(stream.view(), own[s].shard.rows, table.pooling, groups_, stream.bag_sizes);
    if (splits_row_statistic(own[s].table)) {
      waiting.emplace_back().gather(table, shards_[s], optimizer_of(s), groups_, gradients);
      split.push_back(s);
    } else {
      update_shard(table, shards_[s], optimizer_of(s), averaging_, groups_, gradients);
    }
  }
  if (std::ranges::none_of(std::views::iota(std::size_t{0}, tables_.size()),
                           [&](std::size_t t) { return splits_row_statistic(static_cast<std::int64_t>(t)); }))
    return;
  const std::vector<std::vector<float>> squares = exchange_squares(split, waiting);
  for (std::size_t i = 0; i < split.size(); ++i)
    waiting[i].apply(tables_[own[split[i]].table], shards_[split[i]], optimizer_of(split[i]), averaging_, squares[i]);
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
