#include "trainer/embedding/sharded_embedding.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "kernels/random.h"
#include "parallel/all_to_all/all_to_all.h"
#include "parallel/error.h"

namespace swallowtail {

namespace {

void initialise(const EmbeddingTable& table, std::uint64_t seed, std::vector<float>& weights) {
  const std::uint64_t purpose = random::purpose("embedding") ^ random::purpose(table.name);
  const std::int64_t rows = table.rows, dim = table.dim;
  weights.resize(static_cast<std::size_t>(rows * dim));
  if (table.init == EmbeddingInit::zero) return;
#pragma omp parallel for schedule(static)
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t d = 0; d < dim; ++d) {
      const std::uint64_t key =
          random::bits(seed, purpose, static_cast<std::uint64_t>(row), static_cast<std::uint64_t>(d));
      const double unit = table.init == EmbeddingInit::normal ? random::normal(key) : 2 * random::uniform(key) - 1;
      weights[static_cast<std::size_t>(row * dim + d)] = static_cast<float>(unit * table.init_scale);
    }
}

template <typename T>
void append(std::vector<std::byte>& to, std::span<const T> values) {
  const auto bytes = std::as_bytes(values);
  to.insert(to.end(), bytes.begin(), bytes.end());
}

JaggedView view(const JaggedIds& ids) { return {ids.values, ids.offsets, ids.weights}; }

}  // namespace

ShardedEmbedding::ShardedEmbedding(std::vector<EmbeddingTable> tables, ShardingPlan plan, EmbeddingOptions options,
                                   Communicator& ranks)
    : tables_(std::move(tables)), plan_(std::move(plan)), options_(std::move(options)), ranks_(ranks) {
  if (options_.average_decay > 0) averaging_.emplace(options_.average_decay);
  const auto world_size = static_cast<std::size_t>(ranks_.world_size());
  tables_of_.resize(world_size);
  features_of_.resize(world_size);
  width_of_.assign(world_size, 0);
  layout_hash_ = options_.seed;
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    const int owner = plan_.tables[t].shards.front().rank;
    const EmbeddingTable& table = tables_[t];
    tables_of_[owner].push_back(static_cast<std::int64_t>(t));
    features_of_[owner].push_back(table.feature);
    width_of_[owner] += table.dim;
    layout_hash_ = random::bits(layout_hash_, random::purpose(table.name), static_cast<std::uint64_t>(table.rows),
                                static_cast<std::uint64_t>(table.dim * ranks_.world_size() + owner));
  }
  for (auto& features : features_of_) {
    std::ranges::sort(features);
    features.erase(std::ranges::unique(features).begin(), features.end());
  }
  for (const std::int64_t t : tables_of_[ranks_.rank()]) {
    const EmbeddingTable& table = tables_[t];
    TableShard& shard = shards_.emplace_back();
    shard.table = t;
    initialise(table, options_.seed, shard.weights);
    shard.state.assign(static_cast<std::size_t>(table.rows * sparse_state_width(table.optimizer.kind, table.dim)),
                       table.initial_accumulator);
    if (averaging_) {
      shard.average = shard.weights;
      shard.average_step.assign(static_cast<std::size_t>(table.rows), 0);
    }
  }
  for (const std::int64_t feature : features_of_[ranks_.rank()]) bags_.push_back({feature, {}});
}

std::int64_t ShardedEmbedding::owned_width() const { return width_of_[ranks_.rank()]; }

const JaggedIds& ShardedEmbedding::bags_of(std::int64_t feature) const {
  return std::ranges::lower_bound(bags_, feature, {}, &FeatureBags::feature)->ids;
}

void ShardedEmbedding::all_to_all(const char* operation, std::span<const std::byte> send,
                                  std::span<const std::int64_t> send_bytes, std::span<std::byte> recv,
                                  std::span<const std::int64_t> recv_bytes) {
  const auto send_offsets = byte_offsets(send_bytes, 1), recv_offsets = byte_offsets(recv_bytes, 1);
  const auto start = std::chrono::steady_clock::now();
  swallowtail::all_to_all(options_.all_to_all, ranks_, Tag{operation, step_, layout_hash_}, {send, send_offsets},
                          {recv, recv_offsets});
  exchange_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  bytes_sent_ += static_cast<std::int64_t>(send.size()) - send_bytes[ranks_.rank()];
}

void ShardedEmbedding::exchange_input(const Batch& batch, std::span<const std::int64_t> batch_sizes,
                                      std::int64_t step) {
  const int world_size = ranks_.world_size(), self = ranks_.rank();
  step_ = step;
  bytes_sent_ = 0;
  local_batch_ = batch.size;
  batch_sizes_.assign(batch_sizes.begin(), batch_sizes.end());
  batch_starts_ = byte_offsets(batch_sizes, 1);

  // Counts first: how many ids of each of its features an owner gets from each rank.
  const std::int64_t here = static_cast<std::int64_t>(features_of_[self].size());
  std::vector<std::int64_t> counts, count_bytes, payload_bytes;
  std::vector<std::byte> payload;
  for (int rank = 0; rank < world_size; ++rank) {
    const std::size_t before = payload.size();
    for (const std::int64_t feature : features_of_[rank]) {
      const JaggedIds& ids = batch.ids[feature];
      counts.push_back(static_cast<std::int64_t>(ids.values.size()));
      counts.push_back(static_cast<std::int64_t>(ids.weights.size()));
      append(payload, std::span(ids.offsets).first(static_cast<std::size_t>(batch.size) + 1));
      append(payload, std::span<const std::int64_t>(ids.values));
      append(payload, std::span<const float>(ids.weights));
    }
    count_bytes.push_back(static_cast<std::int64_t>(features_of_[rank].size() * 2 * sizeof(std::int64_t)));
    payload_bytes.push_back(static_cast<std::int64_t>(payload.size() - before));
  }
  std::vector<std::int64_t> received(static_cast<std::size_t>(world_size * here * 2));
  const std::vector<std::int64_t> received_bytes(world_size,
                                                 here * 2 * static_cast<std::int64_t>(sizeof(std::int64_t)));
  all_to_all("input counts", std::as_bytes(std::span(counts)), count_bytes, std::as_writable_bytes(std::span(received)),
             received_bytes);

  std::vector<std::int64_t> source_bytes(world_size, 0);
  for (int rank = 0; rank < world_size; ++rank)
    for (std::int64_t f = 0; f < here; ++f) {
      const std::int64_t* count = &received[(rank * here + f) * 2];
      source_bytes[rank] += (batch_sizes_[rank] + 1 + count[0]) * static_cast<std::int64_t>(sizeof(std::int64_t)) +
                            count[1] * static_cast<std::int64_t>(sizeof(float));
    }
  const auto source_offsets = byte_offsets(source_bytes, 1);
  std::vector<std::byte> incoming(static_cast<std::size_t>(source_offsets.back()));
  all_to_all("input ids", payload, payload_bytes, incoming, source_bytes);
  receive_features(incoming, received, source_offsets);
}

void ShardedEmbedding::receive_features(std::span<const std::byte> payload, std::span<const std::int64_t> counts,
                                        std::span<const std::int64_t> source_offsets) {
  for (FeatureBags& bags : bags_) {
    bags.ids.values.clear();
    bags.ids.weights.clear();
    bags.ids.offsets.assign(1, 0);
  }
  for (int rank = 0; rank < ranks_.world_size(); ++rank) {
    const std::byte* from = payload.data() + source_offsets[rank];
    for (std::size_t f = 0; f < bags_.size(); ++f) {
      JaggedIds& ids = bags_[f].ids;
      const std::int64_t* count = &counts[(static_cast<std::size_t>(rank) * bags_.size() + f) * 2];
      const auto base = static_cast<std::int64_t>(ids.values.size());
      std::int64_t offset = 0;
      for (std::int64_t b = 0; b <= batch_sizes_[rank]; ++b, from += sizeof(offset)) {
        std::memcpy(&offset, from, sizeof(offset));  // the payload is not aligned once float weights precede
        if (b > 0) ids.offsets.push_back(base + offset);
      }
      ids.values.resize(static_cast<std::size_t>(base + count[0]));
      if (count[0] > 0)
        std::memcpy(ids.values.data() + base, from, static_cast<std::size_t>(count[0]) * sizeof(std::int64_t));
      from += static_cast<std::size_t>(count[0]) * sizeof(std::int64_t);
      const std::size_t weights_before = ids.weights.size();
      ids.weights.resize(weights_before + static_cast<std::size_t>(count[1]));
      if (count[1] > 0)
        std::memcpy(ids.weights.data() + weights_before, from, static_cast<std::size_t>(count[1]) * sizeof(float));
      from += static_cast<std::size_t>(count[1]) * sizeof(float);
    }
  }
}

void ShardedEmbedding::lookup(bool averaged) {
  const int world_size = ranks_.world_size();
  owner_buffer_.resize(static_cast<std::size_t>(batch_starts_.back() * owned_width()));
  float* out = owner_buffer_.data();
  std::vector<std::int64_t> send_bytes, recv_bytes;
  for (int rank = 0; rank < world_size; ++rank) {
    const std::int64_t begin = batch_starts_[rank], size = batch_sizes_[rank];
    for (const TableShard& shard : shards_) {
      const EmbeddingTable& table = tables_[shard.table];
      const JaggedIds& ids = bags_of(table.feature);
      const JaggedView all = view(ids);
      const JaggedView part{all.values,
                            all.offsets.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(size) + 1),
                            all.weights};
      const float* weights = averaged ? shard.average.data() : shard.weights.data();
      pooled_lookup_forward({weights, table.rows, table.dim}, part, table.pooling, out);
      out += size * table.dim;
    }
    send_bytes.push_back(size * owned_width() * static_cast<std::int64_t>(sizeof(float)));
    recv_bytes.push_back(local_batch_ * width_of_[rank] * static_cast<std::int64_t>(sizeof(float)));
  }
  pooled_start_.assign(tables_.size(), 0);
  std::int64_t start = 0;
  for (int rank = 0; rank < world_size; ++rank)
    for (const std::int64_t t : tables_of_[rank]) {
      pooled_start_[t] = start;
      start += local_batch_ * tables_[t].dim;
    }
  pooled_.resize(static_cast<std::size_t>(start));
  gradient_.assign(static_cast<std::size_t>(start), 0.0F);
  all_to_all("pooled vectors", std::as_bytes(std::span(owner_buffer_)), send_bytes,
             std::as_writable_bytes(std::span(pooled_)), recv_bytes);
}

std::span<float> ShardedEmbedding::pooled(std::int64_t table) {
  return std::span(pooled_).subspan(static_cast<std::size_t>(pooled_start_[table]),
                                    static_cast<std::size_t>(local_batch_ * tables_[table].dim));
}

std::span<float> ShardedEmbedding::pooled_gradient(std::int64_t table) {
  return std::span(gradient_).subspan(static_cast<std::size_t>(pooled_start_[table]),
                                      static_cast<std::size_t>(local_batch_ * tables_[table].dim));
}

void ShardedEmbedding::exchange_gradient() {
  std::vector<std::int64_t> send_bytes, recv_bytes;
  for (int rank = 0; rank < ranks_.world_size(); ++rank) {
    send_bytes.push_back(local_batch_ * width_of_[rank] * static_cast<std::int64_t>(sizeof(float)));
    recv_bytes.push_back(batch_sizes_[rank] * owned_width() * static_cast<std::int64_t>(sizeof(float)));
  }
  all_to_all("pooled gradients", std::as_bytes(std::span(gradient_)), send_bytes,
             std::as_writable_bytes(std::span(owner_buffer_)), recv_bytes);
}

void ShardedEmbedding::update(std::int64_t step, float rate_factor) {
  std::vector<const float*> bag_gradients(static_cast<std::size_t>(batch_starts_.back()));
  std::int64_t before = 0;  // dims of the owned tables that precede within a rank's block
  for (TableShard& shard : shards_) {
    const EmbeddingTable& table = tables_[shard.table];
    for (int rank = 0; rank < ranks_.world_size(); ++rank) {
      const float* block = owner_buffer_.data() + batch_starts_[rank] * owned_width() + batch_sizes_[rank] * before;
      for (std::int64_t b = 0; b < batch_sizes_[rank]; ++b)
        bag_gradients[batch_starts_[rank] + b] = block + b * table.dim;
    }
    before += table.dim;

    group_by_row(view(bags_of(table.feature)), table.rows, table.pooling, groups_);
    OptimizerStep optimizer = table.optimizer;
    optimizer.learning_rate *= rate_factor;
    optimizer.step = step;
    const std::int64_t state_width = sparse_state_width(optimizer.kind, table.dim);
    const auto touched = static_cast<std::int64_t>(groups_.rows.size());
    const auto new_share = static_cast<float>(averaging_ ? 1.0 - averaging_->decay(step) : 0.0);
    std::int64_t bad_row = -1;
#pragma omp parallel if (touched >= 256)
    {
      std::vector<float> gradient(static_cast<std::size_t>(table.dim));
#pragma omp for schedule(static)
      for (std::int64_t group = 0; group < touched; ++group) {
        const std::int64_t row = groups_.rows[group];
        float* weights = shard.weights.data() + row * table.dim;
        row_gradient(groups_, group, bag_gradients, table.dim, gradient.data());
        if (!std::ranges::all_of(gradient, [](float g) { return std::isfinite(g); })) {
#pragma omp atomic write
          bad_row = row;
          continue;
        }
        float* average = averaging_ ? shard.average.data() + row * table.dim : nullptr;
        if (average) {  // the steps in which this row rested
          const auto rested = static_cast<float>(averaging_->product(shard.average_step[row], step - 1));
          for (std::int64_t d = 0; d < table.dim; ++d) average[d] = weights[d] + rested * (average[d] - weights[d]);
          shard.average_step[row] = step;
        }
        update_row(optimizer, table.dim, weights, gradient.data(), shard.state.data() + row * state_width);
        if (average)
          for (std::int64_t d = 0; d < table.dim; ++d) average[d] += new_share * (weights[d] - average[d]);
      }
    }
    if (bad_row >= 0)
      throw Error{ExitCode::numbers, fmt::format("the gradient of an embedding row is not finite in step {}", step),
                  fmt::format("table '{}' row {}", table.name, bad_row),
                  "lower the learning rate, or look for extreme values in the data"};
  }
}

void ShardedEmbedding::settle(std::int64_t step) {
  if (!averaging_) return;
  for (TableShard& shard : shards_) {
    const EmbeddingTable& table = tables_[shard.table];
#pragma omp parallel for schedule(static) if (table.rows >= 4096)
    for (std::int64_t row = 0; row < table.rows; ++row) {
      if (shard.average_step[row] >= step) continue;
      const auto rested = static_cast<float>(averaging_->product(shard.average_step[row], step));
      const float* weights = shard.weights.data() + row * table.dim;
      float* average = shard.average.data() + row * table.dim;
      for (std::int64_t d = 0; d < table.dim; ++d) average[d] = weights[d] + rested * (average[d] - weights[d]);
      shard.average_step[row] = step;
    }
  }
}

}  // namespace swallowtail
