// SASRec: self-attention over the items of a history, each position predicting the next item by a softmax over the
// whole catalogue, with one table for items read and items scored. Pre-LN blocks whose residual adds x itself (the
// reference adds the normalised x). Positions are counted from the end, so that padding changes nothing. Source: Kang
// and McAuley, ICDM 2018; cross-entropy over all items: Klenitskiy and Vasilev, RecSys 2023.
#include <cmath>

#include "trainer/rankers/network.h"
#include "trainer/rankers/sequences.h"
#include "trainer/rankers/softmax_loss.h"

namespace swallowtail {
namespace {

struct BlockImpl : torch::nn::Module {
  BlockImpl(std::int64_t dim, std::int64_t heads_of_dim)
      : heads(heads_of_dim),
        attention_norm(register_module("attention_norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({dim})))),
        query_key_value(register_module("query_key_value", torch::nn::Linear(dim, 3 * dim))),
        out(register_module("out", torch::nn::Linear(dim, dim))),
        feed_norm(register_module("feed_norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({dim})))),
        up(register_module("up", torch::nn::Linear(dim, 4 * dim))),
        down(register_module("down", torch::nn::Linear(4 * dim, dim))) {}

  std::int64_t heads;
  torch::nn::LayerNorm attention_norm;
  torch::nn::Linear query_key_value, out;
  torch::nn::LayerNorm feed_norm;
  torch::nn::Linear up, down;
};
TORCH_MODULE(Block);

class SasRec final : public RankingNetwork {
 public:
  explicit SasRec(const RankerInput& input)
      : items_(input.data.items.size()),
        dim_(input.experiment.integer("model.embedding_dim")),
        length_(input.experiment.integer("model.sequence_length")),
        dropout_(input.experiment.number("model.dropout")),
        sequences_(input.data.train, length_, items_, Align::end,
                   static_cast<std::uint64_t>(input.experiment.integer("seed"))) {
    const std::int64_t heads = input.experiment.integer("model.heads");
    if (dim_ % heads != 0)
      throw input.experiment.error("model.heads", "the heads do not divide model.embedding_dim", "choose a divisor");
    const auto seed = static_cast<std::uint64_t>(input.experiment.integer("seed"));
    table_ = register_parameter("items", torch::empty({items_ + 1, dim_}));
    positions_ = register_parameter("positions", torch::empty({length_, dim_}));
    for (std::int64_t b = 0; b < input.experiment.integer("model.layers"); ++b)
      blocks_.push_back(register_module("block" + std::to_string(b), Block(dim_, heads)));
    last_norm_ = register_module("last_norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({dim_})));
    init_xavier(*this, seed);
    const torch::NoGradGuard no_grad;
    for (const auto& item : named_parameters())
      if (item.key().ends_with(".bias")) item.value().zero_();
    init_normal(table_, 0.02, seed, "items");
    init_normal(positions_, 0.02, seed, "positions");
    table_[items_].zero_();
  }

  std::int64_t epoch_samples() const override { return sequences_.windows(); }
  double targets(std::int64_t sample, std::int64_t epoch) const override {
    return static_cast<double>(sequences_.targets(sample, epoch));
  }

  torch::Tensor loss_sum(const NetworkBatch& batch) override {
    const Windows windows = sequences_.read(batch.samples, batch.epoch);
    const torch::Tensor hidden = encode(windows.inputs, &batch).reshape({-1, dim_});
    const torch::Tensor targets = windows.targets.reshape({-1});
    const torch::Tensor real = (targets >= 0).nonzero().squeeze(1);
    return softmax_loss(hidden.index_select(0, real), table_.slice(0, 0, items_), std::nullopt,
                        targets.index_select(0, real));
  }

  torch::Tensor scores(std::span<const RankingQuery> queries) override {
    std::vector<std::span<const std::int64_t>> histories;
    for (const RankingQuery& query : queries) histories.push_back(query.history);
    const torch::Tensor hidden = encode(sequences_.last(histories), nullptr).select(1, length_ - 1);
    return torch::matmul(hidden, table_.slice(0, 0, items_).t());
  }

  bool knows(const RankingQuery& query) const override { return !query.history.empty(); }

  /// [B, length] items, `items_` at pads -> [B, length, dim]. `batch`: of training, else null.
  torch::Tensor encode(const torch::Tensor& inputs, const NetworkBatch* batch) {
    const std::int64_t B = inputs.size(0), L = inputs.size(1);
    const auto drop = [&](const torch::Tensor& x, std::uint64_t layer) {
      return batch != nullptr ? dropped(x, dropout_, *batch, layer) : x;
    };
    const torch::Tensor real = (inputs != items_).to(torch::kFloat32);  // [B, L]
    // The last place is position 0, whatever stands to the left of a short history.
    const torch::Tensor places = positions_.slice(0, 0, L).flip(0);
    torch::Tensor x = torch::nn::functional::embedding(inputs, table_) * std::sqrt(static_cast<double>(dim_)) + places;
    x = drop(x, 0) * real.unsqueeze(2);
    // Each place sees itself and what is real before it; a pad sees itself alone, so that no row is empty.
    const torch::Tensor causal = torch::ones({L, L}, torch::kBool).tril();
    const torch::Tensor self = torch::eye(L, torch::kBool);
    const torch::Tensor seen = ((causal & (inputs != items_).unsqueeze(1)) | self).unsqueeze(1);  // [B, 1, L, L]
    const torch::Tensor hidden = torch::zeros(seen.sizes()).masked_fill_(~seen, -1e9);
    std::uint64_t layer = 1;
    for (Block& block : blocks_) {
      const std::int64_t heads = block->heads, width = dim_ / heads;
      const auto parts = block->query_key_value(block->attention_norm(x)).reshape({B, L, 3, heads, width}).unbind(2);
      const auto head = [](const torch::Tensor& t) { return t.transpose(1, 2); };  // [B, heads, L, width]
      torch::Tensor weights =
          torch::matmul(head(parts[0]), head(parts[1]).transpose(2, 3)) / std::sqrt(static_cast<double>(width)) +
          hidden;
      weights = drop(torch::softmax(weights, 3), layer++);
      const torch::Tensor mixed = torch::matmul(weights, head(parts[2])).transpose(1, 2).reshape({B, L, dim_});
      x = x + drop(block->out(mixed), layer++);
      x = x + drop(block->down(torch::gelu(block->up(block->feed_norm(x)))), layer++);
      x = x * real.unsqueeze(2);
    }
    return last_norm_(x);
  }

 private:
  std::int64_t items_, dim_, length_;
  double dropout_;
  Sequences sequences_;
  torch::Tensor table_, positions_;  // [items + 1, dim], the pad last; [length, dim]
  std::vector<Block> blocks_;
  torch::nn::LayerNorm last_norm_{nullptr};
};

}  // namespace

std::shared_ptr<RankingNetwork> make_sasrec(const RankerInput& input) { return std::make_shared<SasRec>(input); }

}  // namespace swallowtail
