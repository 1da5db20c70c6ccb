#include "trainer/training/autograd_pass.h"

#include <algorithm>

namespace swallowtail {

std::int64_t AutogradPass::floats_a_sample() const {
  std::int64_t floats = 0;
  for (const torch::Tensor& parameter : model_.parameters())
    if (parameter.dim() == 2) floats += 2 * (parameter.size(0) + parameter.size(1));
  return floats;
}

void AutogradPass::begin(const DenseInput& input) {
  input_ = input;
  parts_.clear();
  has_trained_ = false;
}

void AutogradPass::bottom(std::int64_t begin, std::int64_t end) {
  ModelInput input;
  input.dense = torch::from_blob(const_cast<float*>(input_.dense) + begin * dense_, {end - begin, dense_});
  input.training = true;
  input.seed = input_.seed;
  input.step = input_.step;
  input.first_sample = input_.first_sample + begin;
  input.bottom = model_.bottom(input);
  parts_[begin].input = std::move(input);
}

double AutogradPass::train(std::int64_t begin, std::int64_t end, std::span<const float* const> pooled,
                           std::span<float* const> pooled_gradients, float* logits, const StepHooks& hooks) {
  if (!parts_.contains(begin)) bottom(begin, end);
  Part part = std::move(parts_.at(begin));
  parts_.erase(begin);
  // Pooled vectors are leaves whose gradients land where the embedding sends them from; autograd adds to them.
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    const std::int64_t dim = tables_[t].dim;
    torch::Tensor vectors =
        torch::from_blob(const_cast<float*>(pooled[t]) + begin * dim, {end - begin, dim}).set_requires_grad(true);
    float* gradient = pooled_gradients[t] + begin * dim;
    std::fill_n(gradient, (end - begin) * dim, 0.0F);
    vectors.mutable_grad() = torch::from_blob(gradient, {end - begin, dim});
    part.input.pooled.push_back(std::move(vectors));
  }
  const torch::Tensor output = model_.forward(part.input);
  const torch::Tensor flat = output.detach().contiguous();
  std::copy_n(flat.data_ptr<float>(), end - begin, logits);
  if (hooks.progress) hooks.progress();
  std::vector<float> logit_gradients(static_cast<std::size_t>(end - begin));
  const double loss = hooks.loss(begin, end, logits, logit_gradients.data());
  if (input_.fresh && !has_trained_) model_.zero_grad(/*set_to_none=*/false);
  has_trained_ = true;
  output.backward(torch::from_blob(logit_gradients.data(), {end - begin, 1}));
  return loss;
}

std::unique_ptr<DensePass> dense_pass_of(const Experiment& experiment, Model& model,
                                         std::span<const EmbeddingTable> tables, std::int64_t dense) {
  auto by_hand = experiment.boolean("train.autograd") ? nullptr : model.dense_pass();
  if (by_hand) return by_hand;
  return std::make_unique<AutogradPass>(model, tables, dense);
}

}  // namespace swallowtail
