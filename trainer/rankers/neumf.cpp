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
    factors_ =
        make_pair_factors(*this, users, items_, dim, input.experiment.integers("model.tower"), has_product, has_tower);
    out_ = register_module("out", torch::nn::Linear(factors_.width(), 1));
    init_xavier(*this, seed);
    const torch::NoGradGuard no_grad;
    for (const auto& item : named_parameters())
      if (item.key().starts_with("product_") || item.key().starts_with("tower_"))
        init_normal(item.value(), 0.01, seed, item.key());
      else if (item.key().ends_with(".bias"))
        item.value().zero_();
    init_uniform(out_->weight, std::sqrt(3.0 / static_cast<double>(factors_.width())), seed, "out");  // LeCun
  }

  std::int64_t epoch_samples() const override { return sampler_.samples(); }
  double targets(std::int64_t /*sample*/, std::int64_t /*epoch*/) const override { return 1; }

  torch::Tensor loss_sum(const NetworkBatch& batch) override {
    const Pairs pairs = sampler_.draw(batch);
    const torch::Tensor heads =
        factors_.heads(factors_.rows(pairs.users, pairs.items), out_->weight, dropout_, batch, 0);
    const torch::Tensor scores = heads.squeeze(2) + out_->bias;  // [B, 1 + n]
    torch::Tensor labels = torch::zeros_like(scores);
    labels.select(1, 0).fill_(1);
    return torch::binary_cross_entropy_with_logits(scores, labels, {}, {}, at::Reduction::Sum) /
           static_cast<double>(scores.size(1));
  }

  torch::Tensor scores(std::span<const RankingQuery> queries) override {
    return factors_.score_all(users_of(queries), out_->weight[0]) + out_->bias;
  }

  bool knows(const RankingQuery& query) const override { return query.user != kColdId && train_.count(query.user) > 0; }

 private:
  const Histories& train_;
  std::int64_t items_;
  double dropout_;
  PairSampler sampler_;
  PairFactors factors_;
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
