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
  Pairs pairs{torch::empty({size, width}, torch::kInt64), torch::empty({size, width}, torch::kInt64),
              torch::empty({size})};
  auto* const users = pairs.users.data_ptr<std::int64_t>();
  auto* const items = pairs.items.data_ptr<std::int64_t>();
  auto* const ratings = pairs.ratings.data_ptr<float>();
  for (std::int64_t b = 0; b < size; ++b) {
    const std::int64_t sample = batch.samples[b], user = user_of_[sample];
    std::fill_n(users + b * width, width, user);
    items[b * width] = train_.items[sample];
    ratings[b] = train_.ratings[sample];
    for (std::int64_t k = 0; k < negatives_; ++k) {
      const std::int64_t negative = sampler_.draw(user, batch.step, batch.first + b, k);
      items[b * width + 1 + k] = negative == kColdId ? train_.items[sample] : negative;
    }
  }
  return pairs;
}

TowerImpl::TowerImpl(std::int64_t inputs, const std::vector<std::int64_t>& widths) : outputs_(inputs) {
  for (std::size_t i = 0; i < widths.size(); ++i) {
    layers_.push_back(register_module(std::to_string(i), torch::nn::Linear(outputs_, widths[i])));
    outputs_ = widths[i];
  }
}

torch::Tensor TowerImpl::forward(torch::Tensor x, double dropout, const NetworkBatch* batch, std::uint64_t layer) {
  for (auto& linear : layers_) {
    if (batch != nullptr) x = dropped(x, dropout, *batch, layer++);
    x = torch::relu(linear(x));
  }
  return x;
}

}  // namespace swallowtail
