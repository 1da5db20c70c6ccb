// GMF, MLP and NeuMF: s = w . [p * q | tower([p' | q'])] with each half alone as GMF and MLP; binary cross-entropy of
// the interaction against drawn negatives. Source: He et al., WWW 2017.
#include <cmath>

#include "trainer/rankers/neural_mf.h"

namespace swallowtail {
namespace {

class NeuMf final : public RankingNetwork {
 public:
  NeuMf(const RankerInput& input, bool has_product, bool has_tower)
      : train_(input.data.train),
        items_(input.data.items.size()),
        dropout_(input.experiment.number("model.dropout")),
        sampler_(input) {
    const std::int64_t dim = input.experiment.integer("model.embedding_dim"), users = input.data.users.size();
    const auto seed = static_cast<std::uint64_t>(input.experiment.integer("seed"));
    std::int64_t width = 0;
    if (has_product) {
      product_user_ = register_parameter("product_user", torch::empty({users, dim}));
      product_item_ = register_parameter("product_item", torch::empty({items_, dim}));
      width += dim;
    }
    if (has_tower) {
      tower_user_ = register_parameter("tower_user", torch::empty({users, dim}));
      tower_item_ = register_parameter("tower_item", torch::empty({items_, dim}));
      tower_ = register_module("tower", Tower(2 * dim, input.experiment.integers("model.tower")));
      width += tower_->outputs();
    }
    out_ = register_module("out", torch::nn::Linear(width, 1));
    init_xavier(*this, seed);
    const torch::NoGradGuard no_grad;
    for (const auto& item : named_parameters())
      if (item.key().starts_with("product_") || item.key().starts_with("tower_"))
        init_normal(item.value(), 0.01, seed, item.key());
      else if (item.key().ends_with(".bias"))
        item.value().zero_();
    init_uniform(out_->weight, std::sqrt(3.0 / static_cast<double>(width)), seed, "out");  // LeCun
  }

  std::int64_t epoch_samples() const override { return sampler_.samples(); }
  double targets(std::int64_t /*sample*/, std::int64_t /*epoch*/) const override { return 1; }

  torch::Tensor loss_sum(const NetworkBatch& batch) override {
    const Pairs pairs = sampler_.draw(batch);
    const torch::Tensor scores = score(pairs.users, pairs.items, &batch);  // [B, 1 + n]
    torch::Tensor labels = torch::zeros_like(scores);
    labels.select(1, 0).fill_(1);
    return torch::binary_cross_entropy_with_logits(scores, labels, {}, {}, at::Reduction::Sum) /
           static_cast<double>(scores.size(1));
  }

  torch::Tensor scores(std::span<const RankingQuery> queries) override {
    std::vector<torch::Tensor> rows;
    const torch::Tensor all = torch::arange(items_).unsqueeze(0);
    for (const RankingQuery& query : queries)
      rows.push_back(query.user == kColdId ? torch::zeros({1, items_})
                                           : score(torch::full({1, items_}, query.user, torch::kInt64), all, nullptr));
    return torch::cat(rows);
  }

  bool knows(const RankingQuery& query) const override { return query.user != kColdId && train_.count(query.user) > 0; }

 private:
  /// Logits [B, n] of users and items [B, n].
  torch::Tensor score(const torch::Tensor& users, const torch::Tensor& items, const NetworkBatch* batch) {
    std::vector<torch::Tensor> parts;
    if (product_user_.defined()) parts.push_back(rows_of(users, product_user_) * rows_of(items, product_item_));
    if (tower_user_.defined())
      parts.push_back(
          tower_(torch::cat({rows_of(users, tower_user_), rows_of(items, tower_item_)}, 2), dropout_, batch, 0));
    return out_(torch::cat(parts, 2)).squeeze(2);
  }

  const Histories& train_;
  std::int64_t items_;
  double dropout_;
  PairSampler sampler_;
  torch::Tensor product_user_, product_item_, tower_user_, tower_item_;  // [users or items, dim]
  Tower tower_{nullptr};
  torch::nn::Linear out_{nullptr};
};

}  // namespace

std::shared_ptr<RankingNetwork> make_gmf(const RankerInput& input) {
  return std::make_shared<NeuMf>(input, true, false);
}
std::shared_ptr<RankingNetwork> make_mlp_ranker(const RankerInput& input) {
  return std::make_shared<NeuMf>(input, false, true);
}
std::shared_ptr<RankingNetwork> make_neumf(const RankerInput& input) {
  return std::make_shared<NeuMf>(input, true, true);
}

}  // namespace swallowtail
