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
      : product_user(register_parameter("product_user", torch::empty({users, dim}))),
        product_item(register_parameter("product_item", torch::empty({items, dim}))),
        tower_user(register_parameter("tower_user", torch::empty({users, dim}))),
        tower_item(register_parameter("tower_item", torch::empty({items, dim}))),
        tower(register_module("tower", Tower(2 * dim, widths))) {}

  /// [B, n] users and items -> [B, n, dim + tower].
  torch::Tensor forward(const torch::Tensor& users, const torch::Tensor& items, double dropout,
                        const NetworkBatch* batch, std::uint64_t layer) {
    return torch::cat(
        {rows_of(users, product_user) * rows_of(items, product_item),
         tower(torch::cat({rows_of(users, tower_user), rows_of(items, tower_item)}, 2), dropout, batch, layer)},
        2);
  }
  torch::Tensor product_user, product_item, tower_user, tower_item;
  Tower tower;
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
      width += dim + explicit_->tower->outputs();
      rating_ = register_module("rating", torch::nn::Linear(width, 1));
    }
    if (lambda_ < 1) {
      implicit_ = register_module("implicit", Branch(users, items_, dim, widths));
      width += dim + implicit_->tower->outputs();
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
    torch::Tensor h_explicit;
    const torch::Tensor y = preference(pairs.users, pairs.items, &batch, h_explicit);
    const torch::Tensor margins = y.select(1, 0).unsqueeze(1) - y.slice(1, 1);
    torch::Tensor loss = (1 - lambda_) * torch::softplus(-margins).mean(1).sum();
    if (lambda_ > 0) {
      const torch::Tensor ratings =
          rating(pairs.users.slice(1, 0, 1), pairs.items.slice(1, 0, 1), h_explicit.slice(1, 0, 1)).squeeze(1);
      loss = loss + lambda_ / variance_ * (ratings - pairs.ratings).square().sum();
    }
    return loss + decay_ * squares(pairs);
  }

  torch::Tensor scores(std::span<const RankingQuery> queries) override {
    std::vector<torch::Tensor> rows;
    const torch::Tensor all = torch::arange(items_).unsqueeze(0);
    torch::Tensor h_explicit;
    for (const RankingQuery& query : queries)
      rows.push_back(query.user == kColdId
                         ? torch::zeros({1, items_})
                         : preference(torch::full({1, items_}, query.user, torch::kInt64), all, nullptr, h_explicit));
    return torch::cat(rows);
  }

  bool knows(const RankingQuery& query) const override { return query.user != kColdId && train_.count(query.user) > 0; }

 private:
  torch::Tensor preference(const torch::Tensor& users, const torch::Tensor& items, const NetworkBatch* batch,
                           torch::Tensor& h_explicit) {
    std::vector<torch::Tensor> parts;
    if (lambda_ > 0) {
      h_explicit = explicit_(users, items, dropout_, batch, 0);
      parts.push_back(h_explicit);
    }
    if (lambda_ == 1) return rating(users, items, h_explicit);
    parts.push_back(implicit_(users, items, dropout_, batch, 100));
    return out_(torch::cat(parts, 2)).squeeze(2) + rows_of(items, popularity_).squeeze(2);
  }

  /// [B, n] users, items and what the branch E makes of them -> [B, n].
  torch::Tensor rating(const torch::Tensor& users, const torch::Tensor& items, const torch::Tensor& h_explicit) {
    return mean_ + rows_of(users, user_bias_).squeeze(2) + rows_of(items, item_bias_).squeeze(2) +
           rating_(h_explicit).squeeze(2);
  }

  /// Squares of the rows that the samples touch.
  torch::Tensor squares(const Pairs& pairs) {
    torch::Tensor sum = torch::zeros({});
    for (Branch* branch : {&explicit_, &implicit_}) {
      if (branch->is_empty()) continue;
      for (const torch::Tensor& table : {(*branch)->product_user, (*branch)->tower_user})
        sum = sum + rows_of(pairs.users.select(1, 0), table).square().sum();
      for (const torch::Tensor& table : {(*branch)->product_item, (*branch)->tower_item})
        sum = sum + rows_of(pairs.items, table).square().sum();
    }
    return sum;
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
