#include "trainer/training/autograd_pass.h"

#include <algorithm>

namespace swallowtail {

void AutogradPass::begin(const DenseInput& input) {
  input_ = input;
  parts_.clear();
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

void AutogradPass::forward(std::int64_t begin, std::int64_t end, std::span<const float* const> pooled, float* logits) {
  Part& part = parts_.at(begin);
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    const std::int64_t dim = tables_[t].dim;
    part.input.pooled.push_back(
        torch::from_blob(const_cast<float*>(pooled[t]) + begin * dim, {end - begin, dim}).set_requires_grad(true));
  }
  part.output = model_.forward(part.input);
  const torch::Tensor flat = part.output.detach().contiguous();
  std::copy_n(flat.data_ptr<float>(), end - begin, logits);
}

void AutogradPass::backward(std::int64_t begin, std::int64_t end, std::span<const float* const> /*pooled*/,
                            std::span<float* const> pooled_gradients, const float* logit_gradients) {
  const Part part = std::move(parts_.at(begin));
  parts_.erase(begin);
  // Pooled vectors are leaves whose gradients land where the embedding sends them from; autograd adds to them.
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    const std::int64_t dim = tables_[t].dim;
    float* gradient = pooled_gradients[t] + begin * dim;
    std::fill_n(gradient, (end - begin) * dim, 0.0F);
    part.input.pooled[t].mutable_grad() = torch::from_blob(gradient, {end - begin, dim});
  }
  part.output.backward(torch::from_blob(const_cast<float*>(logit_gradients), {end - begin, 1}));
}

}  // namespace swallowtail
