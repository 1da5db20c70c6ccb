#include "trainer/models/layers.h"

#include "kernels/interaction.h"
#include "kernels/random.h"

namespace swallowtail {

namespace {

void fill_normal(torch::Tensor& tensor, double deviation, std::uint64_t seed, const std::string& name) {
  float* values = tensor.data_ptr<float>();
  const std::uint64_t purpose = random::purpose("dense") ^ random::purpose(name);
  for (std::int64_t i = 0; i < tensor.numel(); ++i)
    values[i] =
        static_cast<float>(deviation * random::normal(random::bits(seed, purpose, static_cast<std::uint64_t>(i))));
}

/// Pointers to the F blocks [B, D] of a contiguous [F, B, D].
template <typename Pointer>
std::vector<Pointer> blocks(const torch::Tensor& stacked) {
  std::vector<Pointer> pointers;
  for (std::int64_t f = 0; f < stacked.size(0); ++f)
    pointers.push_back(stacked.data_ptr<float>() + f * stacked.stride(0));
  return pointers;
}

/// The kernel pair as one autograd node: saves the vectors, not the F x F products. It takes them as one tensor [F, B,
/// D], since a custom node sees no gradient for the tensors of a vector.
class DotInteraction : public torch::autograd::Function<DotInteraction> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& stacked, bool itself,
                               bool concatenate) {
    const InteractionShape shape{stacked.size(1), stacked.size(2), itself, concatenate};
    torch::Tensor out = torch::empty({shape.batch, interaction_width(stacked.size(0), shape)}, stacked.options());
    dot_interaction_forward(shape, blocks<const float*>(stacked), out.data_ptr<float>());
    context->save_for_backward({stacked});
    context->saved_data["itself"] = itself;
    context->saved_data["concatenate"] = concatenate;
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const torch::Tensor stacked = context->get_saved_variables()[0];
    const InteractionShape shape{stacked.size(1), stacked.size(2), context->saved_data["itself"].toBool(),
                                 context->saved_data["concatenate"].toBool()};
    const torch::Tensor gradient = gradients[0].contiguous();
    const torch::Tensor result = torch::empty_like(stacked);
    dot_interaction_backward(shape, blocks<const float*>(stacked), gradient.data_ptr<float>(), blocks<float*>(result));
    return {result, torch::Tensor(), torch::Tensor()};
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

CrossLayerImpl::CrossLayerImpl(std::int64_t width, std::int64_t rank)
    : v(register_module("v", torch::nn::Linear(torch::nn::LinearOptions(width, rank).bias(false)))),
      u(register_module("u", torch::nn::Linear(torch::nn::LinearOptions(rank, width).bias(false)))),
      bias(register_parameter("bias", torch::zeros({width}))) {}

torch::Tensor CrossLayerImpl::forward(const torch::Tensor& x0, const torch::Tensor& x) {
  return torch::addcmul(x, x0, u->forward(v->forward(x)) + bias);
}

CrossNetImpl::CrossNetImpl(std::int64_t width, std::int64_t rank, std::int64_t layers) {
  for (std::int64_t l = 0; l < layers; ++l)
    layers_.push_back(register_module(std::to_string(l), CrossLayer(width, rank)));
}

torch::Tensor CrossNetImpl::forward(const torch::Tensor& x0) {
  torch::Tensor x = x0;
  for (CrossLayer& layer : layers_) x = layer->forward(x0, x);
  return x;
}

torch::Tensor dot_interaction(const std::vector<torch::Tensor>& vectors, bool itself, bool concatenate) {
  return DotInteraction::apply(torch::stack(vectors), itself, concatenate);
}

}  // namespace swallowtail
