#include "trainer/training/dense_parameters.h"

#include <algorithm>
#include <cmath>

#include "kernels/finite.h"
#include "trainer/embedding/table_options.h"

namespace swallowtail {

DenseParameters::DenseParameters(torch::nn::Module& model, const Experiment& experiment) {
  optimizer_.kind = parse_optimizer(experiment.text("train.optimizer"));
  optimizer_.learning_rate = static_cast<float>(experiment.number("train.learning_rate"));
  optimizer_.beta1 = static_cast<float>(experiment.number("train.beta1"));
  optimizer_.beta2 = static_cast<float>(experiment.number("train.beta2"));
  optimizer_.momentum = static_cast<float>(experiment.number("train.momentum"));
  optimizer_.weight_decay = static_cast<float>(experiment.number("train.weight_decay"));
  optimizer_.epsilon = experiment.has("train.epsilon") ? static_cast<float>(experiment.number("train.epsilon"))
                                                       : usual_epsilon(optimizer_.kind);
  const double decay = experiment.number("train.average_decay");
  if (decay > 0) averaging_.emplace(decay);

  std::int64_t size = 0;
  for (const auto& item : model.named_parameters()) {
    entries_.push_back({item.key(), item.value().sizes().vec(), size, item.value().numel()});
    size += item.value().numel();
  }
  weights_.resize(static_cast<std::size_t>(size));
  gradient_.assign(static_cast<std::size_t>(size), 0.0F);
  state_.assign(static_cast<std::size_t>(dense_state_width(optimizer_.kind, optimizer_.momentum, size)), 0.0F);
  const torch::NoGradGuard no_grad;
  auto entry = entries_.begin();
  for (auto& item : model.named_parameters()) {
    torch::Tensor& parameter = item.value();
    std::copy_n(parameter.contiguous().data_ptr<float>(), entry->size, weights_.data() + entry->first);
    parameter.set_data(torch::from_blob(weights_.data() + entry->first, entry->shape));
    parameter.mutable_grad() = torch::from_blob(gradient_.data() + entry->first, entry->shape);
    ++entry;
  }
  if (averaging_) average_ = weights_;
}

void DenseParameters::zero_gradient() { std::ranges::fill(gradient_, 0.0F); }

std::optional<std::string> DenseParameters::non_finite_gradient() const {
  if (!has_non_finite(gradient_)) return {};
  for (const Entry& entry : entries_)
    for (std::int64_t i = entry.first; i < entry.first + entry.size; ++i)
      if (!std::isfinite(gradient_[i])) return entry.name;
  return {};
}

void DenseParameters::clip_gradient(double limit) {
  if (limit <= 0) return;
  double squares = 0;
  for (const float g : gradient_) squares += static_cast<double>(g) * g;
  const double norm = std::sqrt(squares);
  if (norm <= limit) return;
  const auto scale = static_cast<float>(limit / norm);
  for (float& g : gradient_) g *= scale;
}

void DenseParameters::update(std::int64_t step, double rate_factor) {
  OptimizerStep now = optimizer_;
  now.learning_rate = static_cast<float>(optimizer_.learning_rate * rate_factor);
  now.step = step;
  update_dense(now, weights_, gradient_, state_);
  if (!averaging_) return;
  const auto share = static_cast<float>(1.0 - averaging_->decay(step));
  for (std::size_t i = 0; i < weights_.size(); ++i) average_[i] += share * (weights_[i] - average_[i]);
}

void DenseParameters::swap_average() { std::swap_ranges(weights_.begin(), weights_.end(), average_.begin()); }

}  // namespace swallowtail
