#include "trainer/models/layers.h"

#include "kernels/interaction.h"
#include "kernels/random.h"

namespace swallowtail {

namespace {

void fill_normal(torch::Tensor& tensor, double deviation, std::uint64_t seed, const std::string& name) {
  float* values = tensor.data_ptr<float>();
  const std::uint64_t purpose = random::purpose("dense") ^ random::purpose(name);
  for (std::int64_t i = 0; i < tensor.numel(); ++i)
    values[i] = static_cast<float>(deviation * random::normal(random::bits(seed, purpose, static_cast<std::uint64_t>(i))));
}

/// The kernel pair as one autograd node: saves the inputs, not the F x F products.
class DotInteraction : public torch::autograd::Function<DotInteraction> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, bool itself, bool concatenate,
                               const torch::autograd::variable_list& vectors) {
    torch::autograd::variable_list saved;
    std::vector<const float*> pointers;
    for (const torch::Tensor& vector : vectors) {
      saved.push_back(vector.contiguous());
      pointers.push_back(saved.back().data_ptr<float>());
    }
    const InteractionShape shape{vectors[0].size(0), vectors[0].size(1), itself, concatenate};
    torch::Tensor out =
        torch::empty({shape.batch, interaction_width(static_cast<std::int64_t>(vectors.size()), shape)}, vectors[0].options());
    dot_interaction_forward(shape, pointers, out.data_ptr<float>());
    context->save_for_backward(saved);
    context->saved_data["itself"] = itself;
    context->saved_data["concatenate"] = concatenate;
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto vectors = context->get_saved_variables();
    const InteractionShape shape{vectors[0].size(0), vectors[0].size(1), context->saved_data["itself"].toBool(),
                                 context->saved_data["concatenate"].toBool()};
    torch::autograd::variable_list result{torch::Tensor(), torch::Tensor()};
    std::vector<const float*> pointers;
    std::vector<float*> targets;
    for (const torch::Tensor& vector : vectors) {
      pointers.push_back(vector.data_ptr<float>());
      result.push_back(torch::empty_like(vector));
      targets.push_back(result.back().data_ptr<float>());
    }
    const torch::Tensor gradient = gradients[0].contiguous();
    dot_interaction_backward(shape, pointers, gradient.data_ptr<float>(), targets);
    return result;
  }
};

}  // namespace

void initialise_linear_layers(torch::nn::Module& model, std::uint64_t seed) {
  const torch::NoGradGuard no_grad;
  for (const auto& item : model.named_modules()) {
    auto* linear = item.value()->as<torch::nn::Linear>();
    if (linear == nullptr) continue;
    const auto out = static_cast<double>(linear->weight.size(0)), in = static_cast<double>(linear->weight.size(1));
    fill_normal(linear->weight, std::sqrt(2.0 / (in + out)), seed, item.key() + ".weight");
    if (linear->bias.defined()) fill_normal(linear->bias, std::sqrt(1.0 / out), seed, item.key() + ".bias");
  }
}

MlpImpl::MlpImpl(std::int64_t inputs, std::span<const std::int64_t> widths, bool relu_last, double dropout,
                 std::uint64_t layer_key)
    : relu_last_(relu_last), dropout_(dropout), layer_key_(layer_key) {
  for (std::size_t i = 0; i < widths.size(); ++i) {
    layers_.push_back(register_module(std::to_string(i), torch::nn::Linear(inputs, widths[i])));
    inputs = widths[i];
  }
}

torch::Tensor MlpImpl::forward(torch::Tensor x, const ModelInput& input) {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    x = layers_[i]->forward(x);
    if (i + 1 == layers_.size() && !relu_last_) break;
    x = torch::relu(x);
    if (!input.training || dropout_ <= 0) continue;
    torch::Tensor mask = torch::empty(x.sizes(), x.options().requires_grad(false));
    dropout_mask({input.seed, input.step, layer_key_ + i}, dropout_, input.first_sample, x.size(0), x.size(1),
                 mask.data_ptr<float>());
    x = x * mask;
  }
  return x;
}

torch::Tensor dot_interaction(const std::vector<torch::Tensor>& vectors, bool itself, bool concatenate) {
  return DotInteraction::apply(itself, concatenate, vectors);
}

}  // namespace swallowtail
