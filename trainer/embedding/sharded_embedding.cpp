#include "trainer/embedding/sharded_embedding.h"

#include <omp.h>

#include <algorithm>
#include <utility>

#include "kernels/random.h"
#include "trainer/embedding/amounts.h"

namespace swallowtail {

static_assert(kColumnBlock % kSquareColumns == 0, "columns are split where the squares of a row are");

namespace {

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

void ShardedEmbedding::hand_over_to_devices() {
  const IdExchangeOptions options{.forward = options_.forward, .backward = options_.backward, .every_bag = true};
  current_ = IdExchange(tables_, layout_, distinct_, options);
  next_ = IdExchange(tables_, layout_, distinct_, options);
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

/// Whether what one of this rank's own shards and this rank's own samples have for each other goes from one to the
/// other without a message: whole rows in fp32, bag by bag. A narrower wire rounds alike wherever a row lies.
bool ShardedEmbedding::stays_here(const HeldShard& held, Unit unit, Wire wire) const {
  return unit == Unit::bag && wire == Wire::fp32 && held.shard.rank == exchange_.rank() &&
         held.shard.cols == tables_[held.table].dim;
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
      Unit unit = forward_unit(own[s], stream.is_distinct[static_cast<std::size_t>(source)]);
      if (source == self && stays_here(own[s], unit, options_.forward)) unit = Unit::nothing;
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
      const Unit unit = forward_unit(held, sent.is_distinct);
      if (rank == self && stays_here(held, unit, options_.forward)) continue;
      forward_.recv_bytes[rank] += wire_bytes(options_.forward, units(unit, sent.bags, sent.ids), held.shard.cols);
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
  size_vectors();
  look_up_own();
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

/// Room for this batch's shapes, [table][vectors, dim], without values.
void ShardedEmbedding::size_vectors() {
  table_start_.assign(1, 0);
  for (const EmbeddingTable& table : tables_) {
    const auto vectors =
        table.pooling == Pooling::none ? std::ssize(current_.batch().ids[table.feature].values) : current_.batch().size;
    table_start_.push_back(table_start_.back() + vectors * table.dim);
  }
  pooled_.resize(static_cast<std::size_t>(table_start_.back()));
  gradient_.resize(static_cast<std::size_t>(table_start_.back()));
}

void ShardedEmbedding::finish_lookup() {
  const int self = exchange_.rank(), world_size = exchange_.world_size();
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
      const Unit unit = forward_unit(held, sent.is_distinct);
      if (rank == self && stays_here(held, unit, options_.forward)) continue;
      const std::int64_t vectors = units(unit, sent.bags, sent.ids);
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

/// What this rank's samples need of its own shards, copies of data-parallel tables among them; zeros of the tables that
/// arrive in parts.
void ShardedEmbedding::look_up_own() {
  struct Lookup {
    TableView rows;
    JaggedView bags;
    Pooling pooling;
    float* out;
  };
  std::vector<Lookup> lookups;
  std::vector<bool> is_whole(tables_.size(), false);
  std::int64_t work = 0;
  const auto& own = layout_.shards[static_cast<std::size_t>(exchange_.rank())];
  for (std::size_t s = 0; s < own.size(); ++s) {
    const EmbeddingTable& table = tables_[own[s].table];
    const bool is_copy = plan_.tables[own[s].table].sharding == Sharding::data_parallel;
    const SentStream& sent = current_.sent(exchange_.rank(), own[s].stream);
    if (!is_copy && !stays_here(own[s], forward_unit(own[s], sent.is_distinct), options_.forward)) continue;
    const TableShard& shard = shards_[s];
    // Whole rows, so the owner's ids are the sample's, but for the order in which rows lie.
    const JaggedIds& ids = current_.batch().ids[table.feature];
    const JaggedView bags = is_copy ? JaggedView{ids.values, ids.offsets, ids.weights}
                                    : current_.owned(own[s].stream).of_source(exchange_.rank());
    lookups.push_back({{averaged_ ? shard.average.data() : shard.weights.data(), shard.shard.rows, table.dim},
                       bags,
                       table.pooling,
                       pooled(own[s].table).data()});
    is_whole[static_cast<std::size_t>(own[s].table)] = true;
    work += work_of(std::ssize(ids.values), table.dim);
  }
  for (std::size_t t = 0; t < tables_.size(); ++t)
    if (!is_whole[t]) std::ranges::fill(pooled(static_cast<std::int64_t>(t)), 0.0F);
#pragma omp parallel if (work >= kWorkForThreads)
  for (const Lookup& of : lookups) {  // each thread takes its bags of every table
    const std::int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads(), bags = of.bags.bags();
    const auto begin = bags * thread / threads, end = bags * (thread + 1) / threads;
    if (begin == end) continue;
    const JaggedView part{
        of.bags.values,
        of.bags.offsets.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin + 1)),
        of.bags.weights};
    const std::int64_t first = of.pooling == Pooling::none ? part.offsets[0] - of.bags.offsets[0] : begin;
    pooled_lookup_forward(of.rows, part, of.pooling, of.out + first * of.rows.dim);
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
    const Unit unit = gradient_unit(held, sent.is_distinct);
    return units(rank == self && stays_here(held, unit, options_.backward) ? Unit::nothing : unit, sent.bags, sent.ids);
  };
  for (int rank = 0; rank < world_size; ++rank) {
    for (const HeldShard& held : layout_.shards[static_cast<std::size_t>(rank)])
      backward_.send_bytes[rank] += wire_bytes(options_.backward, sent_units(rank, held), held.shard.cols);
    for (const HeldShard& held : layout_.shards[static_cast<std::size_t>(self)]) {
      const OwnedStream& stream = current_.owned(held.stream);
      const JaggedView bags = stream.of_source(rank);
      Unit unit = gradient_unit(held, stream.is_distinct[static_cast<std::size_t>(rank)]);
      if (rank == self && stays_here(held, unit, options_.backward)) unit = Unit::nothing;
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
      if (vectors == 0) continue;
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

}  // namespace swallowtail
