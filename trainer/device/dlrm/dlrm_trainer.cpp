#include "trainer/device/dlrm/dlrm_trainer.h"

#include <algorithm>
#include <cmath>

namespace swallowtail {

DlrmTrainer::DlrmTrainer(const DeviceModel& model)
    : model_(model),
      layout_(model.network),
      averaging_(model.average_decay > 0 ? std::optional(Averaging(model.average_decay)) : std::nullopt),
      network_(layout_, model.network.dense, std::ssize(model.tables) - model.network.vectors, model.precision,
               model.seed, stream_),
      tables_(
          model.tables, network_.width(), [this](std::int64_t table) { return network_.column_of(table); }, averaging_,
          model.average_decay, stream_),
      dense_(layout_, model, stream_),
      scale_(model.loss_scale ? LossScale::fixed(*model.loss_scale) : LossScale::for_precision(model.precision)) {
  facts_.rates = cuda::PinnedBuffer<cuda::Rates>(tables_.count());
  cuda::zero(result_.data(), 1, stream_);
}

DlrmTrainer::~DlrmTrainer() {
  try {
    copies_.wait();
    stream_.wait();
  } catch (...) {  // the error that ends the run is told elsewhere
  }
}

void DlrmTrainer::upload(const HostParameters& from) {
  dense_.upload(from);
  tables_.upload(from.shards);
}

void DlrmTrainer::download(const HostParameters& to) {
  dense_.download(to);
  tables_.download(to.shards);
}

void DlrmTrainer::forget_graphs() {
  for (Slot& slot : slots_) {
    slot.first.reset();
    slot.second.reset();
    slot.shape.reset();
  }
}

void DlrmTrainer::fill(Slot& slot, const Batch& batch, std::int64_t step) {
  const bool moved = slot.block.pack(batch, model_.tables, model_.network.dense);
  const bool grows = batch.size > most_samples_ || slot.block.shape().ids > most_ids_;
  if (moved || grows) stream_.wait();  // for the work that uses what is about to move
  network_.reserve(batch.size);
  most_samples_ = std::max(most_samples_, batch.size);
  most_ids_ = std::max(most_ids_, slot.block.shape().ids);
  if (moved || grows) forget_graphs();  // they name memory that is no more, or soon will be no more
  slot.step = step;
  slot.block.send(copies_);
  slot.arrived.record(copies_);
}

void DlrmTrainer::set_facts(const DeviceStepInput& input) {
  OptimizerStep optimizer = model_.optimizer;
  optimizer.learning_rate = static_cast<float>(static_cast<double>(optimizer.learning_rate) * input.rate_factor);
  optimizer.step = input.step;
  *facts_.pinned.data() = {.dense = cuda::Rates(optimizer),
                           .average_share = averaging_ ? static_cast<float>(1.0 - averaging_->decay(input.step)) : 0.0F,
                           .unscale = static_cast<float>(1 / scale_.value()),
                           .gradient_scale = scale_.value() / static_cast<double>(input.batch.size),
                           .step = input.step,
                           .first_sample = 0};
  tables_.set_rates(input.step, static_cast<float>(input.rate_factor), facts_.rates.data());
}

void DlrmTrainer::gradients(const InputBlock& block) {
  const cuda::StepFacts* const facts = facts_.device.data();
  const DeviceBatch batch = block.batch();
  cuda::copy_to_device(facts_.device.data(), facts_.pinned.data(), 1, stream_);
  tables_.send_rates(facts_.rates.data());
  network_.bottom(batch, dense_.views(), facts);
  tables_.lookup(block.bags(), false, network_.pooled());
  network_.forward(batch, dense_.views(), facts, true);
  network_.loss(model_.loss, batch, facts, &result_.data()->loss_sum);
  network_.backward(batch, dense_.views());
  if (scale_.value() != 1) {
    cuda::unscale(dense_.gradient(), dense_.size(), facts, stream_);
    cuda::unscale(network_.pooled_gradient(), batch.samples * network_.width(), facts, stream_);
  }
  cuda::find_non_finite(dense_.gradient(), dense_.size(), &result_.data()->bad_gradient, stream_);
  if (looks_first())
    cuda::find_non_finite(network_.pooled_gradient(), batch.samples * network_.width(), &result_.data()->bad_pooled,
                          stream_);
}

void DlrmTrainer::updates(const InputBlock& block) {
  const cuda::StepFacts* const facts = facts_.device.data();
  tables_.update(block.bags(), network_.pooled_gradient(), facts, &result_.data()->bad_row);
  const double* squares = nullptr;
  if (model_.clip_norm > 0) {
    cuda::sum_of_squares(dense_.gradient(), dense_.size(), &result_.data()->squares, squares_, stream_);
    squares = &result_.data()->squares;
  }
  dense_.update(facts, squares);
}

void DlrmTrainer::fetch_result() { cuda::copy_to_host(result_on_host_.data(), result_.data(), 1, stream_); }

void DlrmTrainer::perform(Slot& slot, std::unique_ptr<cuda::Graph>& graph, const std::function<void()>& work) {
  // The first step of a shape finds all its room; the second is recorded.
  if (!model_.records_graphs || slot.shape != slot.block.shape()) return work();
  if (!graph) graph = std::make_unique<cuda::Graph>(stream_, work);
  graph->replay(stream_);
  replayed_ = true;
}

DeviceOutcome DlrmTrainer::step(const DeviceStepInput& input) {
  Slot& slot = slots_[static_cast<std::size_t>(turn_)];
  if (slot.step != input.step) fill(slot, input.batch, input.step);
  if (slot.shape && *slot.shape != slot.block.shape()) {
    slot.first.reset();
    slot.second.reset();
  }
  const bool looks = looks_first(), scales = scale_.value() != 1;
  set_facts(input);
  stream_.wait_for(slot.arrived);
  replayed_ = false;
  const auto all = [&] {
    gradients(slot.block);
    if (!looks) updates(slot.block);
    fetch_result();
  };
  perform(slot, slot.first, all);
  turn_ = 1 - turn_;
  if (input.next) fill(slots_[static_cast<std::size_t>(turn_)], *input.next, input.step + 1);
  stream_.wait();

  const auto is_place = [](unsigned long long place) { return place != cuda::kNoBadPlace; };
  Result result = *result_on_host_.data();
  DeviceOutcome outcome{.loss_sum = result.loss_sum};
  if (is_place(result.bad_gradient))
    outcome.bad_parameter = layout_.host_place(static_cast<std::int64_t>(result.bad_gradient));
  const bool is_good = std::isfinite(result.loss_sum) && !is_place(result.bad_gradient);
  if (looks) {
    // Where the scale may be at fault, a pooled gradient that overflowed counts too.
    outcome.updated = is_good && !(scale_.is_dynamic() && is_place(result.bad_pooled));
    if (outcome.updated) {
      perform(slot, slot.second, [&] {
        updates(slot.block);
        fetch_result();
      });
      stream_.wait();
      result = *result_on_host_.data();
    }
  }
  if (outcome.updated && is_place(result.bad_row)) {
    const auto [table, row] = tables_.row_at(result.bad_row);
    outcome.bad_row = DeviceOutcome::Row{table, row};
  }
  if (scale_.update(outcome.updated)) outcome.new_scale = scale_.value();
  if (looks_first() != looks || (scale_.value() != 1) != scales) forget_graphs();  // the work has other parts now
  slot.shape = slot.block.shape();
  last_samples_ = input.batch.size;
  replayed_steps_ += replayed_ ? 1 : 0;
  return outcome;
}

std::vector<float> DlrmTrainer::logits() {
  std::vector<float> logits(static_cast<std::size_t>(last_samples_));
  cuda::copy_to_host(logits.data(), network_.logits(), last_samples_, stream_);
  stream_.wait();
  return logits;
}

std::vector<float> DlrmTrainer::predict(const Batch& batch, bool averaged) {
  prediction_.pack(batch, model_.tables, model_.network.dense);
  if (network_.reserve(batch.size)) forget_graphs();
  most_samples_ = std::max(most_samples_, batch.size);
  prediction_.send(stream_);
  const DeviceBatch input = prediction_.batch();
  const DeviceParameterViews views = averaged ? dense_.averaged_views() : dense_.views();
  network_.bottom(input, views, facts_.device.data());
  tables_.lookup(prediction_.bags(), averaged, network_.pooled());
  network_.forward(input, views, facts_.device.data(), false);
  last_samples_ = batch.size;
  return logits();
}

void DlrmTrainer::settle(std::int64_t step) {
  tables_.settle(step);
  stream_.wait();
}

}  // namespace swallowtail
