// Parts of the neural matrix factorizations (NeuMF, EINMF): samples of a positive with its negatives, towers, and
// scores of every item for a user.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "trainer/rankers/network.h"
#include "trainer/ranking/negative_sampler.h"

namespace swallowtail {

/// What the samples of a chunk ask for: the user, and the positive before its negatives.
struct Pairs {
  torch::Tensor users;    // [B, 1] int64
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

/// Layers with ReLU after each, dropout before each.
class TowerImpl : public torch::nn::Module {
 public:
  TowerImpl(std::int64_t inputs, const std::vector<std::int64_t>& widths);
  /// [B, inputs] -> [B, outputs]. `batch`: of training, else null.
  torch::Tensor forward(const torch::Tensor& x, double dropout, const NetworkBatch* batch, std::uint64_t layer);

  // The same where inputs are a user's vector beside an item's: the first layer of a sum is a sum, so that what it
  // makes of a user is made once for all of its items.
  torch::Tensor of_users(const torch::Tensor& users) const;  // [m, d] -> [m, first width]
  torch::Tensor of_items(const torch::Tensor& items) const;  // [m, inputs - d], likewise
  /// The rest, from what the first layer has made, [..., first width]: x is overwritten, so it may be no view.
  /// `samples` own equal shares of its rows. Gives [rows, outputs], or the shape of x where there is one layer.
  torch::Tensor after_first(torch::Tensor x, std::int64_t samples, double dropout, const NetworkBatch* batch,
                            std::uint64_t layer) const;

  std::int64_t outputs() const noexcept { return outputs_; }

 private:
  std::vector<torch::nn::Linear> layers_;
  std::int64_t inputs_, outputs_;
};
TORCH_MODULE(Tower);

/// The vectors of users and items and what is made of a pair of them: [p_u * q_i | tower([p'_u | q'_i])]. Either half
/// may be missing: its tensors are undefined.
struct PairFactors {
  torch::Tensor product_user, product_item, tower_user, tower_item;  // [users or items, dim]
  Tower tower{nullptr};

  struct Rows {
    torch::Tensor product_user, product_item, tower_user, tower_item;  // [B, 1, dim] of users, [B, n, dim] of items
  };

  std::int64_t width() const;
  /// Of users [B, 1] and items [B, n].
  Rows rows(const torch::Tensor& users, const torch::Tensor& items) const;
  /// Products of `weights` [H, width()] with what is made of each pair: [B, n, H].
  torch::Tensor heads(const Rows& rows, const torch::Tensor& weights, double dropout, const NetworkBatch& batch,
                      std::uint64_t layer) const;
  /// The same of every item for each user, with one row of weights [width()]: [Q, items]. Without the tape.
  torch::Tensor score_all(const torch::Tensor& users, const torch::Tensor& weights) const;
};

/// Registers what the halves need with `module`; first weights are left to the caller.
PairFactors make_pair_factors(torch::nn::Module& module, std::int64_t users, std::int64_t items, std::int64_t dim,
                              const std::vector<std::int64_t>& widths, bool has_product, bool has_tower);

/// Numbers of the queries' users [Q]; cold ones get 0, a row of no meaning.
torch::Tensor users_of(std::span<const RankingQuery> queries);

/// Sum of the squares, on the tape, without a copy of what is squared.
torch::Tensor square_sum(const torch::Tensor& x);

}  // namespace swallowtail
