#include "trainer/rankers/neural_mf.h"

#include <string>

namespace swallowtail {

PairSampler::PairSampler(const RankerInput& input)
    : train_(input.data.train),
      negatives_(input.experiment.integer("train.negatives_per_positive")),
      sampler_(input.data.train, input.data.items.size(),
               input.experiment.text("train.negatives") == "popularity"
                   ? input.experiment.number("train.popularity_alpha")
                   : 0,
               static_cast<std::uint64_t>(input.experiment.integer("seed"))) {
  if (input.experiment.text("train.negatives") == "hard")
    throw input.experiment.error("train.negatives", "this model draws uniform or by popularity", "choose one of them");
  for (std::int64_t user = 0; user < train_.users(); ++user)
    user_of_.insert(user_of_.end(), static_cast<std::size_t>(train_.count(user)), user);
}

Pairs PairSampler::draw(const NetworkBatch& batch) const {
  const auto size = static_cast<std::int64_t>(batch.samples.size()), width = 1 + negatives_;
  Pairs pairs{torch::empty({size, 1}, torch::kInt64), torch::empty({size, width}, torch::kInt64), torch::empty({size})};
  auto* const users = pairs.users.data_ptr<std::int64_t>();
  auto* const items = pairs.items.data_ptr<std::int64_t>();
  auto* const ratings = pairs.ratings.data_ptr<float>();
  for (std::int64_t b = 0; b < size; ++b) {
    const std::int64_t sample = batch.samples[b], user = user_of_[sample];
    users[b] = user;
    items[b * width] = train_.items[sample];
    ratings[b] = train_.ratings[sample];
    for (std::int64_t k = 0; k < negatives_; ++k) {
      const std::int64_t negative = sampler_.draw(user, batch.step, batch.first + b, k);
      items[b * width + 1 + k] = negative == kColdId ? train_.items[sample] : negative;
    }
  }
  return pairs;
}

TowerImpl::TowerImpl(std::int64_t inputs, const std::vector<std::int64_t>& widths) : inputs_(inputs), outputs_(inputs) {
  for (std::size_t i = 0; i < widths.size(); ++i) {
    layers_.push_back(register_module(std::to_string(i), torch::nn::Linear(outputs_, widths[i])));
    outputs_ = widths[i];
  }
}

torch::Tensor TowerImpl::forward(const torch::Tensor& x, double dropout, const NetworkBatch* batch,
                                 std::uint64_t layer) {
  const torch::Tensor kept = batch != nullptr ? dropped(x, dropout, *batch, layer) : x;
  return after_first(torch::linear(kept, layers_[0]->weight, layers_[0]->bias), x.size(0), dropout, batch, layer + 1);
}

torch::Tensor TowerImpl::of_users(const torch::Tensor& users) const {
  return torch::linear(users, layers_[0]->weight.slice(1, 0, users.size(1)), layers_[0]->bias);
}

torch::Tensor TowerImpl::of_items(const torch::Tensor& items) const {
  return torch::mm(items, layers_[0]->weight.slice(1, inputs_ - items.size(1)).t());
}

torch::Tensor TowerImpl::after_first(torch::Tensor x, std::int64_t samples, double dropout, const NetworkBatch* batch,
                                     std::uint64_t layer) const {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (i > 0) x = torch::linear(x.reshape({-1, x.size(-1)}), layers_[i]->weight, layers_[i]->bias);
    // Dropout before the next layer; the mask is not negative, so it may come before the ReLU, and both in place.
    if (batch != nullptr && dropout > 0 && i + 1 < layers_.size())
      x.mul_(dropout_of(x, samples, dropout, *batch, layer++));
    x.relu_();
  }
  return x;
}

std::int64_t PairFactors::width() const {
  return (product_user.defined() ? product_user.size(1) : 0) + (tower ? tower->outputs() : 0);
}

PairFactors::Rows PairFactors::rows(const torch::Tensor& users, const torch::Tensor& items) const {
  Rows rows;
  if (product_user.defined()) {
    rows.product_user = torch::embedding(product_user, users);
    rows.product_item = torch::embedding(product_item, items);
  }
  if (tower) {
    rows.tower_user = torch::embedding(tower_user, users);
    rows.tower_item = torch::embedding(tower_item, items);
  }
  return rows;
}

torch::Tensor PairFactors::heads(const Rows& rows, const torch::Tensor& weights, double dropout,
                                 const NetworkBatch& batch, std::uint64_t layer) const {
  const torch::Tensor& of_items = product_user.defined() ? rows.product_item : rows.tower_item;
  const std::int64_t B = of_items.size(0), n = of_items.size(1), dim = of_items.size(2);
  torch::Tensor sum;
  if (product_user.defined())
    sum = torch::mm((rows.product_user * rows.product_item).reshape({B * n, dim}), weights.slice(1, 0, dim).t());
  if (tower) {
    const torch::Tensor users = dropped(rows.tower_user, dropout, batch, layer).reshape({B, dim});
    const torch::Tensor items = dropped(rows.tower_item, dropout, batch, layer + 1).reshape({B * n, dim});
    const torch::Tensor first = tower->of_items(items).reshape({B, n, -1}) + tower->of_users(users).unsqueeze(1);
    const torch::Tensor hidden = tower->after_first(first, B, dropout, &batch, layer + 2);
    const torch::Tensor part = torch::mm(hidden.reshape({B * n, -1}), weights.slice(1, width() - tower->outputs()).t());
    sum = sum.defined() ? sum + part : part;
  }
  return sum.reshape({B, n, -1});
}

torch::Tensor PairFactors::score_all(const torch::Tensor& users, const torch::Tensor& weights) const {
  torch::Tensor scores;
  if (product_user.defined())
    scores =
        torch::mm(product_user.index_select(0, users) * weights.slice(0, 0, product_user.size(1)), product_item.t());
  if (!tower) return scores;
  if (!scores.defined()) scores = torch::zeros({users.size(0), tower_item.size(0)}, weights.options());
  const torch::Tensor of_items = tower->of_items(tower_item);
  const torch::Tensor of_users = tower->of_users(tower_user.index_select(0, users));
  const torch::Tensor last = weights.slice(0, width() - tower->outputs());
  for (std::int64_t q = 0; q < users.size(0); ++q)
    scores[q] += torch::mv(tower->after_first(of_items + of_users[q], 1, 0, nullptr, 0), last);
  return scores;
}

PairFactors make_pair_factors(torch::nn::Module& module, std::int64_t users, std::int64_t items, std::int64_t dim,
                              const std::vector<std::int64_t>& widths, bool has_product, bool has_tower) {
  PairFactors factors;
  if (has_product) {
    factors.product_user = module.register_parameter("product_user", torch::empty({users, dim}));
    factors.product_item = module.register_parameter("product_item", torch::empty({items, dim}));
  }
  if (has_tower) {
    factors.tower_user = module.register_parameter("tower_user", torch::empty({users, dim}));
    factors.tower_item = module.register_parameter("tower_item", torch::empty({items, dim}));
    factors.tower = module.register_module("tower", Tower(2 * dim, widths));
  }
  return factors;
}

torch::Tensor users_of(std::span<const RankingQuery> queries) {
  torch::Tensor users = torch::empty({std::ssize(queries)}, torch::kInt64);
  for (std::size_t q = 0; q < queries.size(); ++q)
    users.data_ptr<std::int64_t>()[q] = queries[q].user == kColdId ? 0 : queries[q].user;
  return users;
}

namespace {

struct SquareSum : torch::autograd::Function<SquareSum> {
  static torch::Tensor forward(torch::autograd::AutogradContext* tape, const torch::Tensor& x) {
    tape->save_for_backward({x});
    const torch::Tensor flat = x.reshape({-1});
    return torch::dot(flat, flat);
  }
  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* tape,
                                               const torch::autograd::tensor_list& gradients) {
    return {tape->get_saved_variables()[0] * (2 * gradients[0])};
  }
};

}  // namespace

torch::Tensor square_sum(const torch::Tensor& x) { return SquareSum::apply(x); }

}  // namespace swallowtail
