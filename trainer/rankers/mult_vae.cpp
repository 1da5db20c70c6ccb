// Mult-VAE and Mult-DAE: a user's distinct items as one vector, which an autoencoder makes again as a multinomial over
// the catalogue. Loss of a user: -sum_i x_i log softmax(f)_i + beta KL(q || N(0, I)), beta rising to its cap over the
// first third of the run; scores come from the mean. Mult-DAE has one hidden layer and no latent noise.
// Source: Liang et al., WWW 2018.
#include <algorithm>
#include <cmath>

#include "kernels/random.h"
#include "trainer/rankers/mult_vae.h"
#include "trainer/rankers/network.h"
#include "trainer/ranking/co_occurrence.h"

namespace swallowtail {

torch::Tensor gaussian_kl(const torch::Tensor& mean, const torch::Tensor& log_variance) {
  return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(1);
}

namespace {

constexpr double kAnnealing = 1.0 / 3;  // share of the run until beta has its cap

class MultVae final : public RankingNetwork {
 public:
  MultVae(const RankerInput& input, bool is_variational)
      : items_(input.data.items.size()),
        latent_(input.experiment.integer("model.latent_dim")),
        dropout_(input.experiment.number("model.dropout")),
        cap_(input.experiment.number("model.kl_weight")),
        is_variational_(is_variational),
        train_(input.data.train) {
    for (std::int64_t user = 0; user < train_.users(); ++user)
      if (train_.count(user) > 0) users_.push_back(user);
    const std::int64_t hidden = input.experiment.integer("model.hidden_dim");
    if (is_variational_) {
      encoder_ = register_module("encoder", torch::nn::Linear(items_, hidden));
      moments_ = register_module("moments", torch::nn::Linear(hidden, 2 * latent_));
      decoder_ = register_module("decoder", torch::nn::Linear(latent_, hidden));
      out_ = register_module("out", torch::nn::Linear(hidden, items_));
    } else {
      encoder_ = register_module("encoder", torch::nn::Linear(items_, latent_));
      out_ = register_module("out", torch::nn::Linear(latent_, items_));
    }
    const auto seed = static_cast<std::uint64_t>(input.experiment.integer("seed"));
    init_xavier(*this, seed);
    const torch::NoGradGuard no_grad;
    for (const auto& item : named_parameters())
      if (item.key().ends_with(".bias")) init_normal(item.value(), 0.001, seed, item.key());
  }

  std::int64_t epoch_samples() const override { return static_cast<std::int64_t>(users_.size()); }
  double targets(std::int64_t /*sample*/, std::int64_t /*epoch*/) const override { return 1; }

  torch::Tensor loss_sum(const NetworkBatch& batch) override {
    std::vector<std::span<const std::int64_t>> histories;
    for (const std::int64_t sample : batch.samples) histories.push_back(train_.of(users_[sample]));
    const torch::Tensor x = rows_of(histories);
    torch::Tensor kl;
    const torch::Tensor logits = run(x, &batch, kl);
    const torch::Tensor likelihood = -(x * torch::log_softmax(logits, 1)).sum();
    if (!is_variational_) return likelihood;
    return likelihood + cap_ * std::min(1.0, batch.progress / kAnnealing) * kl.sum();
  }

  torch::Tensor scores(std::span<const RankingQuery> queries) override {
    std::vector<std::span<const std::int64_t>> histories;
    for (const RankingQuery& query : queries) histories.push_back(query.history);
    torch::Tensor kl;
    return run(rows_of(histories), nullptr, kl);
  }

  bool knows(const RankingQuery& query) const override { return !query.history.empty(); }

 private:
  /// [B, items] of 0 and 1.
  torch::Tensor rows_of(std::span<const std::span<const std::int64_t>> histories) const {
    torch::Tensor rows = torch::zeros({static_cast<std::int64_t>(histories.size()), items_});
    auto* const values = rows.data_ptr<float>();
    for (std::size_t b = 0; b < histories.size(); ++b)
      for (const std::int64_t item : histories[b]) values[static_cast<std::int64_t>(b) * items_ + item] = 1;
    return rows.to(out_->weight.scalar_type());
  }

  torch::Tensor run(const torch::Tensor& x, const NetworkBatch* batch, torch::Tensor& kl) {
    // A user without items stays at zero.
    torch::Tensor h = x / x.square().sum(1, true).sqrt().clamp_min(1e-12);
    if (batch != nullptr) h = dropped(h, dropout_, *batch, 0);
    h = torch::tanh(encoder_(h));
    if (!is_variational_) return out_(h);
    const auto moments = moments_(h).chunk(2, 1);
    torch::Tensor z = moments[0];
    if (batch != nullptr) {
      kl = gaussian_kl(moments[0], moments[1]);
      z = z + noise(*batch) * (0.5 * moments[1]).exp();
    }
    return out_(torch::tanh(decoder_(z)));
  }

  torch::Tensor noise(const NetworkBatch& batch) const {
    torch::Tensor draws = torch::empty({static_cast<std::int64_t>(batch.samples.size()), latent_});
    auto* const values = draws.data_ptr<float>();
    for (std::int64_t i = 0; i < draws.numel(); ++i)
      values[i] = static_cast<float>(random::normal(
          random::bits(batch.seed, random::purpose("latent"), static_cast<std::uint64_t>(batch.step),
                       static_cast<std::uint64_t>((batch.first + i / latent_) * latent_ + i % latent_))));
    return draws;
  }

  std::int64_t items_, latent_;
  double dropout_, cap_;
  bool is_variational_;
  const Histories& train_;
  std::vector<std::int64_t> users_;  // those with an interaction
  torch::nn::Linear encoder_{nullptr}, moments_{nullptr}, decoder_{nullptr}, out_{nullptr};
};

}  // namespace

std::shared_ptr<RankingNetwork> make_mult_vae(const RankerInput& input) {
  return std::make_shared<MultVae>(input, true);
}
std::shared_ptr<RankingNetwork> make_mult_dae(const RankerInput& input) {
  return std::make_shared<MultVae>(input, false);
}

}  // namespace swallowtail
