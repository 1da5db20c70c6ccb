// Parts of the neural matrix factorizations (NeuMF, EINMF): samples of a positive with its negatives, towers, and
// scores of every item for a user.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "trainer/rankers/network.h"
#include "trainer/ranking/negative_sampler.h"

namespace swallowtail {

/// ids [B, n] -> rows [B, n, dim] of the table.
inline torch::Tensor rows_of(const torch::Tensor& ids, const torch::Tensor& table) {
  return torch::embedding(table, ids);
}

/// What the samples of a chunk ask for: row by row the user, then the positive before its negatives.
struct Pairs {
  torch::Tensor users;    // [B, 1 + n] int64
  torch::Tensor items;    // [B, 1 + n] int64; the first column is the positive
  torch::Tensor ratings;  // [B] of the positives
};

/// Draws pairs for interactions, by counters. A user who has every item is given the positive itself as its negative.
class PairSampler {
 public:
  explicit PairSampler(const RankerInput& input);
  std::int64_t samples() const noexcept { return static_cast<std::int64_t>(user_of_.size()); }
  Pairs draw(const NetworkBatch& batch) const;

 private:
  const Histories& train_;
  std::int64_t negatives_;
  NegativeSampler sampler_;
  std::vector<std::int64_t> user_of_;  // [training interactions]
};

/// Layers with ReLU after each.
class TowerImpl : public torch::nn::Module {
 public:
  TowerImpl(std::int64_t inputs, const std::vector<std::int64_t>& widths);
  torch::Tensor forward(torch::Tensor x, double dropout, const NetworkBatch* batch, std::uint64_t layer);
  std::int64_t outputs() const noexcept { return outputs_; }

 private:
  std::vector<torch::nn::Linear> layers_;
  std::int64_t outputs_;
};
TORCH_MODULE(Tower);

}  // namespace swallowtail
