// The softmax over a whole catalogue as a loss: logits are made, turned into derivatives and used up a few rows at a
// time, while they lie in a cache. Written to memory whole, they cost more time than the products that make them.
#pragma once

#include <torch/torch.h>

#include <optional>

namespace swallowtail {

/// Sum of the cross-entropies of targets [n] int64 against hidden [n, d] times classes [I, d]^T (+ bias [I]), on the
/// tape of hidden, classes and bias. fp32 or fp64, all alike.
torch::Tensor softmax_loss(const torch::Tensor& hidden, const torch::Tensor& classes,
                           const std::optional<torch::Tensor>& bias, const torch::Tensor& targets);

}  // namespace swallowtail
