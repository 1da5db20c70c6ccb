// Parts that models share: the reference initialisation, an MLP with counter-keyed dropout, DCN-v2's cross network, the
// dot interaction's autograd.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "trainer/models/model.h"

namespace swallowtail {

/// DLRM's initialisation for every Linear (m inputs, n outputs): W ~ N(0, 2 / (m + n)), b ~ N(0, 1 / n), from counters
/// keyed by (seed, parameter name). Called once by make(), after all parts are registered.
void initialise_linear_layers(torch::nn::Module& model, std::uint64_t seed);

/// Linear layers with ReLU between them; `relu_last` puts one after the last too.
class MlpImpl : public torch::nn::Module {
 public:
  MlpImpl(std::int64_t inputs, std::span<const std::int64_t> widths, bool relu_last, double dropout,
          std::uint64_t layer_key);
  /// [B, inputs] -> [B, widths.back()]; dropout after every ReLU, when input.training.
  torch::Tensor forward(torch::Tensor x, const ModelInput& input);

  std::vector<torch::nn::Linear>& layers() noexcept { return layers_; }
  bool relu_last() const noexcept { return relu_last_; }
  double dropout() const noexcept { return dropout_; }
  std::uint64_t layer_key() const noexcept { return layer_key_; }  // of the first layer's dropout

 private:
  std::vector<torch::nn::Linear> layers_;
  bool relu_last_;
  double dropout_;
  std::uint64_t layer_key_;
};
TORCH_MODULE(Mlp);

/// x0 [B, width] -> x_L, where x_{l + 1} = x0 * (U_l (V_l x_l) + b_l) + x_l: V [rank, width], U [width, rank], b zero
/// at first. Source: Wang et al., arXiv:2008.13535; kernels/cross.h.
class CrossLayerImpl : public torch::nn::Module {
 public:
  CrossLayerImpl(std::int64_t width, std::int64_t rank);
  torch::Tensor forward(const torch::Tensor& x0, const torch::Tensor& x);

  torch::nn::Linear v{nullptr}, u{nullptr};  // without biases of their own
  torch::Tensor bias;                        // [width]
};
TORCH_MODULE(CrossLayer);

class CrossNetImpl : public torch::nn::Module {
 public:
  CrossNetImpl(std::int64_t width, std::int64_t rank, std::int64_t layers);
  torch::Tensor forward(const torch::Tensor& x0);

  std::vector<CrossLayer>& layers() noexcept { return layers_; }

 private:
  std::vector<CrossLayer> layers_;
};
TORCH_MODULE(CrossNet);

/// vectors: F tensors [B, D]; returns [B, (concatenate ? D : 0) + pairs] with gradients to every vector.
torch::Tensor dot_interaction(const std::vector<torch::Tensor>& vectors, bool itself, bool concatenate);

}  // namespace swallowtail
