#include "trainer/device/dlrm/dense_step.h"

#include <algorithm>
#include <cmath>

namespace swallowtail {

DenseStep::DenseStep(const DeviceModel& model, cuda::Stream& stream)
    : layout_(model.network),
      optimizer_(model.optimizer),
      loss_(model.loss),
      clip_norm_(model.clip_norm),
      skips_bad_steps_(model.skips_bad_steps),
      stream_(stream),
      averaging_(model.average_decay > 0 ? std::optional(Averaging(model.average_decay)) : std::nullopt),
      network_(layout_, model.network.dense, std::ssize(model.tables) - model.network.vectors, model.precision,
               model.seed, stream),
      arrays_(layout_, model, stream),
      scale_(model.loss_scale ? LossScale::fixed(*model.loss_scale) : LossScale::for_precision(model.precision)) {
  cuda::zero(result_.data(), 1, stream);
}

void DenseStep::set_facts(const Place& place) {
  OptimizerStep optimizer = optimizer_;
  optimizer.learning_rate = static_cast<float>(static_cast<double>(optimizer.learning_rate) * place.rate_factor);
  optimizer.step = place.step;
  *facts_on_host_.data() = {
      .dense = cuda::Rates(optimizer),
      .average_share = averaging_ ? static_cast<float>(1.0 - averaging_->decay(place.step)) : 0.0F,
      .unscale = static_cast<float>(1 / scale_.value()),
      .gradient_scale = scale_.value() / static_cast<double>(place.batch_samples),
      .step = place.step,
      .first_sample = place.first_sample};
}

void DenseStep::send_facts() { cuda::copy_to_device(facts_.data(), facts_on_host_.data(), 1, stream_); }

void DenseStep::backward(const DeviceBatch& batch) {
  const std::int64_t pooled = batch.samples * network_.width();
  if (batch.samples == 0) {
    cuda::zero(arrays_.gradient(), arrays_.size(), stream_);
    cuda::zero(&result_.data()->loss_sum, 1, stream_);
  } else {
    network_.loss(loss_, batch, facts(), &result_.data()->loss_sum);
    network_.backward(batch, arrays_.views());
    if (scale_.value() != 1) {
      cuda::unscale(arrays_.gradient(), arrays_.size(), facts(), stream_);
      cuda::unscale(network_.pooled_gradient(), pooled, facts(), stream_);
    }
  }
  if (looks_first()) cuda::find_non_finite(network_.pooled_gradient(), pooled, &result_.data()->bad_pooled, stream_);
}

void DenseStep::look_at_gradient() {
  cuda::find_non_finite(arrays_.gradient(), arrays_.size(), &result_.data()->bad_gradient, stream_);
}

void DenseStep::update() {
  const double* squares = nullptr;
  if (clip_norm_ > 0) {
    cuda::sum_of_squares(arrays_.gradient(), arrays_.size(), &result_.data()->squares, squares_, stream_);
    squares = &result_.data()->squares;
  }
  arrays_.update(facts(), squares);
}

void DenseStep::fetch_result() { cuda::copy_to_host(result_on_host_.data(), result_.data(), 1, stream_); }

DeviceOutcome DenseStep::outcome() const {
  DeviceOutcome outcome;
  if (result().bad_gradient != cuda::kNoBadPlace)
    outcome.bad_parameter = layout_.host_place(static_cast<std::int64_t>(result().bad_gradient));
  return outcome;
}

bool DenseStep::overflowed() const { return looks_first() && result().bad_pooled != cuda::kNoBadPlace; }

std::vector<float> DenseStep::logits(std::int64_t samples) {
  std::vector<float> logits(static_cast<std::size_t>(samples));
  cuda::copy_to_host(logits.data(), network_.logits(), samples, stream_);
  stream_.wait();
  return logits;
}

bool DenseStep::is_good(const DeviceOutcome& outcome, bool overflowed) const {
  // Where the loss scale may be at fault, a pooled gradient that overflowed counts too.
  return std::ranges::all_of(outcome.losses, [](double loss) { return std::isfinite(loss); }) &&
         !outcome.bad_parameter && !(scale_.is_dynamic() && overflowed);
}

}  // namespace swallowtail
