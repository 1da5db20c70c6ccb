#include "trainer/device/factors/bpr_trainer.h"

#include <algorithm>

#include "trainer/device/shard_arrays.h"

namespace swallowtail {

static_assert(FactorModel::kMostDim == cuda::kMaxDim);

BprTrainer::BprTrainer(const FactorModel& model)
    : model_(model), tables_{model.users, model.items}, rates_(3), device_rates_(3), result_(1), device_result_(1) {
  if (model.bias) tables_.push_back(*model.bias);
  for (const EmbeddingTable& table : tables_)
    held_.push_back({cuda::DeviceBuffer<float>(table.rows * table.dim),
                     cuda::DeviceBuffer<float>(table.rows * sparse_state_width(table.optimizer.kind, table.dim))});
  const auto of_bias = [&](cuda::DeviceBuffer<float> Held::*array) {
    return model_.bias ? (held_[2].*array).data() : nullptr;
  };
  steps_.emplace(
      FactorTables{held_[0].weights.data(), held_[1].weights.data(), of_bias(&Held::weights), held_[0].state.data(),
                   held_[1].state.data(), of_bias(&Held::state), model.users.rows, model.items.rows, model.users.dim},
      stream_);
  if (model.is_exact) steps_->long_segment = 0;
}

BprTrainer::~BprTrainer() {
  try {
    copies_.wait();
    stream_.wait();
  } catch (...) {  // the error that ends the run is told elsewhere
  }
}

void BprTrainer::upload(std::span<const TableShard> shards) {
  for (std::size_t t = 0; t < held_.size(); ++t) {
    cuda::copy_to_device(held_[t].weights.data(), shards[t].weights.data(), held_[t].weights.size(), stream_);
    cuda::copy_to_device(held_[t].state.data(), shards[t].state.data(), held_[t].state.size(), stream_);
  }
  stream_.wait();
}

void BprTrainer::download(std::span<TableShard> shards) {
  for (std::size_t t = 0; t < held_.size(); ++t) {
    fetch_rows(shards[t].weights, held_[t].weights, shards[t], stream_);
    fetch_rows(shards[t].state, held_[t].state, shards[t], stream_);
  }
}

void BprTrainer::stage(std::int64_t step, const FactorBatch& batch) {
  Slot& slot = slot_of(step);
  if (slot.block.pack(batch, model_.negatives_each)) slot.graph.reset();  // it names memory that is no more
  slot.block.send(copies_);
  slot.arrived.record(copies_);
  slot.step = step;
}

void BprTrainer::launch(const TripletBlock& block) {
  cuda::copy_to_device(device_rates_.data(), rates_.data(), device_rates_.size(), stream_);
  steps_->bpr({.step = model_.users.optimizer,
               .rates = device_rates_.data(),
               .decays_rows_once = true,
               .negatives = model_.negatives},
              block.triplets(), device_result_.data(), stream_);
  cuda::copy_to_host(result_.data(), device_result_.data(), 1, stream_);
  if (model_.is_exact && block.size() > 0) cuda::copy_to_host(losses_.data(), steps_->losses(), block.size(), stream_);
}

void BprTrainer::start(std::int64_t step, double rate_factor) {
  Slot& slot = slot_of(step);
  const std::int64_t size = slot.block.size();
  if (size > most_triplets_) {  // room grows, and recorded work names what was there
    for (Slot& each : slots_) each.graph.reset();
    losses_.reserve(model_.is_exact ? size : 0);
    most_triplets_ = size;
  }
  for (std::size_t t = 0; t < 3; ++t) {
    OptimizerStep optimizer = tables_[std::min(t, tables_.size() - 1)].optimizer;
    optimizer.learning_rate *= static_cast<float>(rate_factor);
    optimizer.step = step;
    rates_.data()[t] = cuda::Rates(optimizer);
  }
  stream_.wait_for(slot.arrived);
  under_way_ = step;
  // The first work of a size finds all its room; the second is recorded.
  if (!model_.records_graphs || slot.done_size != size || size == 0) {
    slot.graph.reset();
    launch(slot.block);
    slot.done_size = size;
    return;
  }
  if (!slot.graph) slot.graph = std::make_unique<cuda::Graph>(stream_, [&] { launch(slot.block); });
  slot.graph->replay(stream_);
  ++replayed_steps_;
}

FactorOutcome BprTrainer::finish() {
  stream_.wait();
  using enum FactorOutcome::Table;
  const cuda::FactorResult& result = *result_.data();
  FactorOutcome outcome{.loss = result.loss, .losses = {}, .bad_row = {}};
  if (model_.is_exact) outcome.losses = {losses_.data(), static_cast<std::size_t>(slot_of(under_way_).block.size())};
  const auto name = [&](FactorOutcome::Table table, unsigned long long row) {
    if (row != cuda::kNoBadRow && !outcome.bad_row) outcome.bad_row = {table, static_cast<std::int64_t>(row)};
  };
  name(items, result.bad_item);
  if (model_.bias) name(bias, result.bad_bias);
  name(users, result.bad_user);
  return outcome;
}

}  // namespace swallowtail
