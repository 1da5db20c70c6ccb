// EINMF: neural matrix factorization on explicit and implicit feedback at once. Two branches b in {E, I}, each with
// h_b = [p_b * q_b | tower_b([p'_b | q'_b])]:
//   rating      r = mean + b_u + b_i + w_E . h_E
//   preference  y = w . [h_E | h_I] + c_i,   c_i from ln(1 + count), centred
//   loss        lambda * (r - rating)^2 / Var(rating) + (1 - lambda) * BPR(y)
// Items are ranked by the preference, not by the rating: ratings are missing not at random. Without ratings lambda is 0
// and the branch E falls away; with lambda 1 the branch I does, and items are ranked by the rating, which shows why
// not. Source: Liu et al., Comput. Intell. Neurosci. 2022 (the joint loss); the rest is ours.
#include <cmath>
#include <numeric>

#include "trainer/rankers/neural_mf.h"

namespace swallowtail {
namespace {

struct BranchImpl : torch::nn::Module {
  BranchImpl(std::int64_t users, std::int64_t items, std::int64_t dim, const std::vector<std::int64_t>& widths)
      : factors(make_pair_factors(*this, users, items, dim, widths, true, true)) {}
  PairFactors factors;
};
TORCH_MODULE(Branch);

class Einmf final : public RankingNetwork {
 public:
  explicit Einmf(const RankerInput& input)
      : train_(input.data.train),
        items_(input.data.items.size()),
        dropout_(input.experiment.number("model.dropout")),
        decay_(input.experiment.number("embedding.weight_decay")),
        sampler_(input) {
    const std::int64_t dim = input.experiment.integer("model.embedding_dim"), users = input.data.users.size();
    const auto widths = input.experiment.integers("model.tower");
    const auto seed = static_cast<std::uint64_t>(input.experiment.integer("seed"));
    const auto count = static_cast<double>(train_.size());
    mean_ = std::accumulate(train_.ratings.begin(), train_.ratings.end(), 0.0) / count;
    for (const float rating : train_.ratings) variance_ += (rating - mean_) * (rating - mean_) / count;
    lambda_ = variance_ > 0 ? input.experiment.number("model.explicit_weight") : 0;
    std::int64_t width = 0;
    if (lambda_ > 0) {
      explicit_ = register_module("explicit", Branch(users, items_, dim, widths));
      user_bias_ = register_parameter("user_bias", torch::zeros({users, 1}));
      item_bias_ = register_parameter("item_bias", torch::zeros({items_, 1}));
      width += explicit_->factors.width();
      rating_ = register_module("rating", torch::nn::Linear(width, 1));
    }
    if (lambda_ < 1) {
      implicit_ = register_module("implicit", Branch(users, items_, dim, widths));
      width += implicit_->factors.width();
      out_ = register_module("out", torch::nn::Linear(torch::nn::LinearOptions(width, 1).bias(false)));
      popularity_ = register_parameter("popularity", torch::empty({items_, 1}));
    }

    init_xavier(*this, seed);
    const torch::NoGradGuard no_grad;
    for (const auto& item : named_parameters())
      if (item.key().find("_user") != std::string::npos || item.key().find("_item") != std::string::npos)
        init_normal(item.value(), 0.01, seed, item.key());
      else if (item.key().ends_with("bias"))
        item.value().zero_();
    if (lambda_ == 1) return;
    init_uniform(out_->weight, std::sqrt(3.0 / static_cast<double>(width)), seed, "out");
    const auto counts = item_counts(train_, items_);
    for (std::int64_t i = 0; i < items_; ++i) popularity_[i] = std::log1p(static_cast<double>(counts[i]));
    popularity_.sub_(popularity_.mean());
  }

  std::int64_t epoch_samples() const override { return sampler_.samples(); }
  double targets(std::int64_t /*sample*/, std::int64_t /*epoch*/) const override { return 1; }

  torch::Tensor loss_sum(const NetworkBatch& batch) override {
    const Pairs pairs = sampler_.draw(batch);
    torch::Tensor preference, ratings, squares = torch::zeros({});
    if (lambda_ < 1) preference = rows_of(pairs.items, popularity_);
    if (lambda_ > 0) {
      const auto& factors = explicit_->factors;
      const auto rows = factors.rows(pairs.users, pairs.items);
      const torch::Tensor heads = factors.heads(rows, explicit_heads(), dropout_, batch, 0);
      ratings = heads.select(2, 0).select(1, 0) + rows_of(pairs.users, user_bias_).select(1, 0) +
                rows_of(pairs.items.select(1, 0), item_bias_) + (mean_ + rating_->bias);
      if (lambda_ < 1) preference = preference + heads.select(2, 1);
      squares = squares + squares_of(rows);
    }
    if (lambda_ < 1) {
      const auto& factors = implicit_->factors;
      const auto rows = factors.rows(pairs.users, pairs.items);
      preference = preference + factors.heads(rows, implicit_head(), dropout_, batch, 100).squeeze(2);
      squares = squares + squares_of(rows);
    }
    torch::Tensor loss = decay_ * squares;
    if (lambda_ > 0) loss = loss + lambda_ / variance_ * square_sum(ratings - pairs.ratings);
    if (lambda_ == 1) return loss;
    const torch::Tensor margins = preference.slice(1, 0, 1) - preference.slice(1, 1);
    return loss + (1 - lambda_) * torch::softplus(-margins).mean(1).sum();
  }

  torch::Tensor scores(std::span<const RankingQuery> queries) override {
    const torch::Tensor users = users_of(queries);
    if (lambda_ == 1)
      return explicit_->factors.score_all(users, rating_->weight[0]) + user_bias_.index_select(0, users) +
             item_bias_.t() + (mean_ + rating_->bias);
    torch::Tensor sum = implicit_->factors.score_all(users, implicit_head()[0]) + popularity_.t();
    if (lambda_ > 0) sum = sum + explicit_->factors.score_all(users, explicit_heads()[1]);
    return sum;
  }

  bool knows(const RankingQuery& query) const override { return query.user != kColdId && train_.count(query.user) > 0; }

 private:
  /// What the loss weighs the branch E by, [1 or 2, width]: for the rating, and for the preference.
  torch::Tensor explicit_heads() const {
    if (lambda_ == 1) return rating_->weight;
    return torch::cat({rating_->weight, out_->weight.slice(1, 0, explicit_->factors.width())});
  }
  torch::Tensor implicit_head() const {
    return out_->weight.slice(1, out_->weight.size(1) - implicit_->factors.width());
  }

  static torch::Tensor rows_of(const torch::Tensor& ids, const torch::Tensor& column) {
    return torch::embedding(column, ids).squeeze(-1);
  }

  /// Squares of the rows that the samples touch: a user's once a sample.
  static torch::Tensor squares_of(const PairFactors::Rows& rows) {
    return square_sum(rows.product_user) + square_sum(rows.product_item) + square_sum(rows.tower_user) +
           square_sum(rows.tower_item);
  }

  const Histories& train_;
  std::int64_t items_;
  double dropout_, decay_, mean_ = 0, variance_ = 0, lambda_ = 0;
  PairSampler sampler_;
  Branch explicit_{nullptr}, implicit_{nullptr};
  torch::Tensor user_bias_, item_bias_, popularity_;
  torch::nn::Linear rating_{nullptr}, out_{nullptr};
};

}  // namespace

std::shared_ptr<RankingNetwork> make_einmf(const RankerInput& input) { return std::make_shared<Einmf>(input); }

}  // namespace swallowtail
