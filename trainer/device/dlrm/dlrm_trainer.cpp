#include "trainer/device/dlrm/dlrm_trainer.h"

#include <fmt/format.h>

#include <algorithm>

#include "parallel/error.h"

namespace swallowtail {

DlrmTrainer::DlrmTrainer(const DeviceModel& model)
    : model_(model),
      dense_(model, stream_),
      tables_(model.tables, dense_.network().width(),
              [this](std::int64_t table) { return dense_.network().column_of(table); }, dense_.averaging(),
              model.average_decay, stream_, {.cache_slots = model.cache_slots, .eviction = model.cache_eviction}),
      rates_(tables_.count()) {}

DlrmTrainer::~DlrmTrainer() {
  try {
    copies_.wait();
    stream_.wait();
  } catch (...) {  // the error that ends the run is told elsewhere
  }
}

void DlrmTrainer::upload(const HostParameters& from) {
  forget_prefetched();
  dense_.arrays().upload(from);
  tables_.upload(from.shards);
}

void DlrmTrainer::download(const HostParameters& to) {
  forget_prefetched();
  dense_.arrays().download(to);
  tables_.download(to.shards);
}

void DlrmTrainer::forget_graphs() {
  for (Slot& slot : slots_) {
    slot.first.reset();
    slot.second.reset();
    slot.shape.reset();
  }
}

void DlrmTrainer::forget_prefetched() {
  if (!tables_.caches().any()) return;
  copies_.wait();
  for (Slot& slot : slots_) slot.step = -1;
}

void DlrmTrainer::fill(Slot& slot, const Batch& batch, std::int64_t step, TableCaches::Beside beside) {
  const bool moved = slot.block.pack(batch, bags_of(batch, model_.tables), model_.network.dense);
  const bool grows = batch.size > most_samples_ || slot.block.shape().ids > most_ids_;
  if (moved || grows) stream_.wait();  // for the work that uses what is about to move
  dense_.network().reserve(batch.size);
  most_samples_ = std::max(most_samples_, batch.size);
  most_ids_ = std::max(most_ids_, slot.block.shape().ids);
  if (moved || grows) forget_graphs();  // they name memory that is no more, or soon will be no more
  slot.step = step;
  slot.block.send(copies_);
  tables_.caches().prefetch(slot.block.ids(), beside, true, copies_);
  slot.arrived.record(copies_);
}

void DlrmTrainer::wait_for_rows(Slot& slot) {
  TableCaches& caches = tables_.caches();
  if (!caches.any()) return;
  slot.arrived.wait();
  if (!caches.without_room()) return;
  // The rows of the step before left too little room; it is over now, and they may go.
  slot.block.send(copies_);
  caches.prefetch(slot.block.ids(), TableCaches::Beside::nothing, true, copies_);
  slot.arrived.record(copies_);
  slot.arrived.wait();
  refuse_rows_without_room("train.batch_size");
}

void DlrmTrainer::refuse_rows_without_room(const char* batch_size_key) const {
  const auto table = tables_.caches().without_room();
  if (!table) return;
  throw Error{ExitCode::resources,
              fmt::format("the rows of one batch do not fit the row cache of table '{}' ({} rows)",
                          model_.tables[static_cast<std::size_t>(*table)].name,
                          model_.cache_slots[static_cast<std::size_t>(*table)]),
              "parallel.device_table_mib",
              fmt::format("raise it where the device has more memory, or lower {}", batch_size_key)};
}

void DlrmTrainer::gradients(const InputBlock& block) {
  const DeviceBatch batch = block.batch();
  dense_.send_facts();
  tables_.send_rates(rates_.data());
  dense_.network().bottom(batch, dense_.arrays().views(), dense_.facts());
  tables_.lookup(block.bags(), false, dense_.network().pooled());
  dense_.network().forward(batch, dense_.arrays().views(), dense_.facts(), true);
  dense_.backward(batch);
  dense_.look_at_gradient();
}

void DlrmTrainer::updates(const InputBlock& block) {
  tables_.update(block.bags(), dense_.network().pooled_gradient(), dense_.facts(), dense_.bad_row());
  dense_.update();
}

void DlrmTrainer::perform(Slot& slot, std::unique_ptr<cuda::Graph>& graph, const std::function<void()>& work) {
  // The first step of a shape finds all its room; the second is recorded.
  if (!model_.records_graphs || slot.shape != slot.block.shape()) return work();
  if (!graph) graph = std::make_unique<cuda::Graph>(stream_, work);
  graph->replay(stream_);
  replayed_ = true;
}

DeviceOutcome DlrmTrainer::step(const DeviceStepInput& input) {
  Slot& slot = slots_[static_cast<std::size_t>(turn_)];
  if (slot.step != input.step) fill(slot, input.batch, input.step, TableCaches::Beside::nothing);
  wait_for_rows(slot);
  if (slot.shape && *slot.shape != slot.block.shape()) {
    slot.first.reset();
    slot.second.reset();
  }
  const bool looks = dense_.looks_first(), scales = dense_.scale().value() != 1;
  dense_.set_facts({.step = input.step, .rate_factor = input.rate_factor, .batch_samples = input.batch.size});
  tables_.set_rates(input.step, static_cast<float>(input.rate_factor), rates_.data());
  stream_.wait_for(slot.arrived);
  replayed_ = false;
  perform(slot, slot.first, [&] {
    gradients(slot.block);
    if (!looks) updates(slot.block);
    dense_.fetch_result();
  });
  turn_ = 1 - turn_;
  if (input.next)
    fill(slots_[static_cast<std::size_t>(turn_)], *input.next, input.step + 1, TableCaches::Beside::a_step);
  stream_.wait();

  DeviceOutcome outcome = dense_.outcome();
  outcome.losses = {dense_.result().loss_sum};
  outcome.stop_requested = input.stop_requested;
  if (looks) {
    outcome.updated = dense_.is_good(outcome, dense_.overflowed());
    if (outcome.updated) {
      perform(slot, slot.second, [&] {
        updates(slot.block);
        dense_.fetch_result();
      });
      stream_.wait();
    }
  }
  if (outcome.updated) {
    outcome.bad_row = tables_.row_at(dense_.result().bad_row);
    if (tables_.caches().any()) tables_.caches().mark_changed(bags_of(input.batch, model_.tables));
  }
  if (dense_.scale().update(outcome.updated)) outcome.new_scale = dense_.scale().value();
  if (dense_.looks_first() != looks || (dense_.scale().value() != 1) != scales)
    forget_graphs();  // the work has other parts now
  slot.shape = slot.block.shape();
  last_samples_ = input.batch.size;
  replayed_steps_ += replayed_ ? 1 : 0;
  return outcome;
}

std::vector<float> DlrmTrainer::predict(const DeviceScoreInput& input) {
  const Batch& batch = input.batch;
  forget_prefetched();
  prediction_.pack(batch, bags_of(batch, model_.tables), model_.network.dense);
  if (dense_.network().reserve(batch.size)) forget_graphs();
  most_samples_ = std::max(most_samples_, batch.size);
  prediction_.send(stream_);
  if (tables_.caches().any()) {
    tables_.caches().prefetch(prediction_.ids(), TableCaches::Beside::nothing, false, stream_);
    stream_.wait();
    refuse_rows_without_room("evaluation.batch_size");
  }
  const DeviceParameterViews views = input.averaged ? dense_.arrays().averaged_views() : dense_.arrays().views();
  dense_.network().bottom(prediction_.batch(), views, dense_.facts());
  tables_.lookup(prediction_.bags(), input.averaged, dense_.network().pooled());
  dense_.network().forward(prediction_.batch(), views, dense_.facts(), false);
  last_samples_ = batch.size;
  return logits();
}

void DlrmTrainer::settle(std::int64_t step) {
  forget_prefetched();
  tables_.settle(step);
  stream_.wait();
}

}  // namespace swallowtail
