#include "trainer/device/dlrm/sharded_trainer.h"

#include <numeric>

namespace swallowtail {

ShardedTrainer::ShardedTrainer(const DeviceModel& model, const DeviceRanksOptions& ranks, int device)
    : embedding_(ranks.embedding),
      hosts_(ranks.ranks),
      dense_features_(model.network.dense),
      devices_(hosts_, device, ranks.timeout_s),
      dense_(model, stream_),
      tables_(embedding_, dense_.network(), dense_.averaging(), devices_, stream_),
      rates_(tables_.tables().count()) {}

ShardedTrainer::~ShardedTrainer() {
  try {
    copies_.wait();
    stream_.wait();
  } catch (...) {  // the error that ends the run is told elsewhere
  }
}

void ShardedTrainer::upload(const HostParameters& from) {
  dense_.arrays().upload(from);
  tables_.tables().upload(from.shards);
}

void ShardedTrainer::download(const HostParameters& to) {
  dense_.arrays().download(to);
  tables_.tables().download(to.shards);
}

void ShardedTrainer::settle(std::int64_t step) {
  tables_.tables().settle(step);
  stream_.wait();
}

/// Waits for the ids of a batch and sends them up, with what the dense part needs, on a stream of their own.
void ShardedTrainer::fill(Slot& slot, const Batch& batch, std::span<const std::int64_t> batch_sizes,
                          std::int64_t step) {
  embedding_.exchange_input(batch, batch_sizes, step);
  slot.block.pack(batch, tables_.bags(), dense_features_);
  slot.block.send(copies_);
  slot.arrived.record(copies_);
  slot.step = step;
}

void ShardedTrainer::reserve(std::span<const std::int64_t> batch_sizes) {
  dense_.network().reserve(batch_sizes[static_cast<std::size_t>(hosts_.rank())]);
  tables_.reserve(batch_sizes);
}

/// From the vectors under way to the logits of the own samples.
DeviceBatch ShardedTrainer::forward(const InputBlock& block, const DeviceParameterViews& views, bool training) {
  const DeviceBatch batch = block.batch();
  if (batch.samples > 0) dense_.network().bottom(batch, views, dense_.facts());
  tables_.finish_lookup();
  if (batch.samples > 0) dense_.network().forward(batch, views, dense_.facts(), training);
  last_samples_ = batch.samples;
  return batch;
}

bool ShardedTrainer::agree(const DeviceStepInput& input, DeviceOutcome& outcome) {
  // One place a rank, the others zero: the sum only copies, and no order of summation can change a bit.
  const auto ranks = static_cast<std::size_t>(hosts_.world_size());
  std::vector<double> words(ranks + 2, 0.0);
  words[static_cast<std::size_t>(hosts_.rank())] = dense_.result().loss_sum;
  words[ranks] = input.stop_requested ? 1 : 0;
  words[ranks + 1] = dense_.overflowed() ? 1 : 0;
  hosts_.all_reduce_sum(Tag{"loss", input.step}, std::span(words));
  outcome.losses.assign(words.begin(), words.begin() + hosts_.world_size());
  outcome.stop_requested = words[ranks] > 0;
  return words[ranks + 1] > 0;
}

DeviceOutcome ShardedTrainer::step(const DeviceStepInput& input) {
  Slot& slot = slots_[static_cast<std::size_t>(turn_)];
  turn_ = 1 - turn_;
  if (slot.step != input.step) fill(slot, input.batch, input.batch_sizes, input.step);
  reserve(input.batch_sizes);
  const bool looks = dense_.looks_first(), overlaps = embedding_.options().overlap;
  const std::int64_t sent = tables_.bytes_sent();
  const double exposed = tables_.exposed_seconds();
  const auto before_me = input.batch_sizes.first(static_cast<std::size_t>(hosts_.rank()));
  dense_.set_facts({.step = input.step,
                    .rate_factor = input.rate_factor,
                    .batch_samples = std::reduce(input.batch_sizes.begin(), input.batch_sizes.end()),
                    .first_sample = std::reduce(before_me.begin(), before_me.end())});
  tables_.tables().set_rates(input.step, static_cast<float>(input.rate_factor), rates_.data());
  dense_.send_facts();
  tables_.tables().send_rates(rates_.data());

  // Owners look up for all ranks; the bottom MLP and the next batch's ids move while the vectors are under way.
  stream_.wait_for(slot.arrived);
  tables_.start_lookup(slot.block.bags(), false, input.step);
  if (input.next) embedding_.start_next_input(*input.next, input.next_sizes, input.step + 1);
  const DeviceBatch batch = forward(slot.block, dense_.arrays().views(), true);
  dense_.backward(batch);
  dense_.fetch_result();

  // Gradients go back to the owners, those of the dense part are summed over ranks.
  tables_.start_gradient(input.step);
  devices_.follow(stream_);
  const auto size = static_cast<std::size_t>(dense_.arrays().size());
  const auto reduction = devices_.communicator().start_all_reduce_sum(Tag{"dense gradients", input.step},
                                                                      {dense_.arrays().gradient(), size});
  if (!overlaps) reduction->wait();
  embedding_.send_next_ids();
  stream_.wait();
  DeviceOutcome outcome;
  const bool overflowed = agree(input, outcome);
  if (looks) {
    reduction->wait();
    dense_.look_at_gradient();
    dense_.fetch_result();
    stream_.wait();
    outcome.bad_parameter = dense_.outcome().bad_parameter;
  }
  outcome.updated = dense_.is_good(outcome, overflowed);  // the same on every rank
  tables_.finish_gradient();
  if (outcome.updated) {
    tables_.update(slot.block.bags(), dense_.facts(), input.step, dense_.bad_row());
    if (!looks) {
      reduction->wait();
      dense_.look_at_gradient();
    }
    dense_.update();
    dense_.fetch_result();
  } else if (!looks) {
    reduction->wait();
  }

  // The next batch's ids have had this step's time to come.
  if (input.next && overlaps)
    fill(slots_[static_cast<std::size_t>(turn_)], *input.next, input.next_sizes, input.step + 1);
  stream_.wait();
  if (outcome.updated) {
    outcome.bad_parameter = dense_.outcome().bad_parameter;
    outcome.bad_row = tables_.row_at(dense_.result().bad_row);
  }
  if (dense_.scale().update(outcome.updated)) outcome.new_scale = dense_.scale().value();
  embedding_.count_exchange(tables_.bytes_sent() - sent, tables_.exposed_seconds() - exposed);
  return outcome;
}

std::vector<float> ShardedTrainer::predict(const DeviceScoreInput& input) {
  embedding_.exchange_input(input.batch, input.batch_sizes, input.step, false);
  prediction_.pack(input.batch, tables_.bags(), dense_features_);
  prediction_.send(stream_);
  reserve(input.batch_sizes);
  tables_.start_lookup(prediction_.bags(), input.averaged, input.step);
  forward(prediction_, input.averaged ? dense_.arrays().averaged_views() : dense_.arrays().views(), false);
  return logits();
}

}  // namespace swallowtail
