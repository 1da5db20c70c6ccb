#pragma once

#include <torch/torch.h>

namespace swallowtail {

/// KL of N(mean, exp(log_variance)) against N(0, I), by row: [B, d], [B, d] -> [B].
torch::Tensor gaussian_kl(const torch::Tensor& mean, const torch::Tensor& log_variance);

}  // namespace swallowtail
