// GRU4Rec: a GRU or LSTM over the items of a history, each state predicting the next item by a softmax over the whole
// catalogue, with one table for items read and items scored. Sources: Hidasi et al., ICLR 2016; Tan, Xu, Liu, DLRS
// 2016.
#include <cmath>
#include <vector>

#include "trainer/rankers/network.h"
#include "trainer/rankers/sequences.h"
#include "trainer/rankers/softmax_loss.h"

namespace swallowtail {
namespace {

class Gru4Rec final : public RankingNetwork {
 public:
  explicit Gru4Rec(const RankerInput& input)
      : items_(input.data.items.size()),
        length_(input.experiment.integer("model.sequence_length")),
        dropout_(input.experiment.number("model.dropout")),
        sequences_(input.data.train, length_, items_, Align::beginning,
                   static_cast<std::uint64_t>(input.experiment.integer("seed"))) {
    const std::int64_t dim = input.experiment.integer("model.embedding_dim");
    const std::int64_t hidden = input.experiment.integer("model.hidden_dim");
    const std::int64_t layers = std::max<std::int64_t>(1, input.experiment.integer("model.layers"));
    const auto seed = static_cast<std::uint64_t>(input.experiment.integer("seed"));
    table_ = register_parameter("items", torch::empty({items_ + 1, dim}));
    if (input.experiment.text("model.cell") == "lstm")
      lstm_ = register_module(
          "lstm", torch::nn::LSTM(torch::nn::LSTMOptions(dim, hidden).num_layers(layers).batch_first(true)));
    else
      gru_ = register_module("gru",
                             torch::nn::GRU(torch::nn::GRUOptions(dim, hidden).num_layers(layers).batch_first(true)));
    out_ = register_module("out", torch::nn::Linear(hidden, dim));
    const torch::NoGradGuard no_grad;
    for (const auto& item : named_parameters())  // LibTorch's own range, from counters
      init_uniform(item.value(), 1 / std::sqrt(static_cast<double>(hidden)), seed, item.key());
    init_normal(table_, 0.02, seed, "items");
  }

  std::int64_t epoch_samples() const override { return sequences_.windows(); }
  double targets(std::int64_t sample, std::int64_t epoch) const override {
    return static_cast<double>(sequences_.targets(sample, epoch));
  }

  torch::Tensor loss_sum(const NetworkBatch& batch) override {
    const Windows windows = sequences_.read(batch.samples, batch.epoch);
    const torch::Tensor targets = windows.targets.reshape({-1});
    const torch::Tensor real = (targets >= 0).nonzero().squeeze(1);
    const torch::Tensor states = run(windows.inputs, &batch);
    const torch::Tensor hidden = states.reshape({-1, states.size(2)}).index_select(0, real);
    return softmax_loss(out_(hidden), table_.slice(0, 0, items_), std::nullopt, targets.index_select(0, real));
  }

  torch::Tensor scores(std::span<const RankingQuery> queries) override {
    std::vector<std::span<const std::int64_t>> histories;
    std::vector<std::int64_t> last;
    for (const RankingQuery& query : queries) {
      histories.push_back(query.history);
      last.push_back(std::clamp<std::int64_t>(static_cast<std::int64_t>(query.history.size()), 1, length_) - 1);
    }
    const torch::Tensor states = run(sequences_.last(histories), nullptr);
    const torch::Tensor rows = torch::arange(states.size(0));
    const torch::Tensor hidden = states.index({rows, torch::tensor(last, torch::kInt64)});
    return torch::matmul(out_(hidden), table_.slice(0, 0, items_).t());
  }

  bool knows(const RankingQuery& query) const override { return !query.history.empty(); }

 private:
  /// [B, length] -> [B, length, hidden]. Pads stand at the end, where no state that counts sees them.
  torch::Tensor run(const torch::Tensor& inputs, const NetworkBatch* batch) {
    torch::Tensor x = torch::nn::functional::embedding(inputs, table_);
    if (batch != nullptr) x = dropped(x, dropout_, *batch, 0);
    x = lstm_ ? std::get<0>(lstm_(x)) : std::get<0>(gru_(x));
    return batch != nullptr ? dropped(x, dropout_, *batch, 1) : x;
  }

  std::int64_t items_, length_;
  double dropout_;
  Sequences sequences_;
  torch::Tensor table_;  // [items + 1, dim], the pad last
  torch::nn::GRU gru_{nullptr};
  torch::nn::LSTM lstm_{nullptr};
  torch::nn::Linear out_{nullptr};
};

}  // namespace

std::shared_ptr<RankingNetwork> make_gru4rec(const RankerInput& input) { return std::make_shared<Gru4Rec>(input); }

}  // namespace swallowtail
