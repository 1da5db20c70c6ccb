// Candidate generation in the manner of YouTube: the mean of the vectors of the last items, beside what is known of the
// user, goes through a tower, and a softmax over the catalogue says what comes next. Labels lie strictly after their
// inputs. Source: Covington, Adams, Sargin, RecSys 2016 (without the example's age: a fixed split has no time to serve
// at).
#include <algorithm>
#include <cmath>

#include "trainer/rankers/network.h"
#include "trainer/rankers/neural_mf.h"
#include "trainer/rankers/softmax_loss.h"

namespace swallowtail {
namespace {

constexpr std::size_t kMostCategories = 1000;  // of a column that becomes features; more are names, not kinds

/// [users + 1, features]: numbers standardised over the users who train, 0 where missing; categories 0 or 1 over the
/// root of their number, so that no column outweighs another. The last row, of an unknown user, is zero.
torch::Tensor user_features(const Interactions& data) {
  std::vector<torch::Tensor> columns;
  const std::int64_t users = data.users.size();
  for (const SideColumn& column : data.user_table.columns) {
    if (column.kind == SideColumn::Kind::number) {
      double sum = 0, squares = 0, count = 0;
      for (std::int64_t user = 0; user < users; ++user) {
        const double value = column.numbers[user];
        if (data.train.count(user) == 0 || std::isnan(value)) continue;
        sum += value;
        squares += value * value;
        ++count;
      }
      const double mean = count > 0 ? sum / count : 0;
      const double deviation = count > 0 ? std::sqrt(std::max(0.0, squares / count - mean * mean)) : 0;
      if (deviation == 0) continue;
      torch::Tensor values = torch::zeros({users + 1, 1});
      for (std::int64_t user = 0; user < users; ++user)
        if (!std::isnan(column.numbers[user])) values[user][0] = (column.numbers[user] - mean) / deviation;
      columns.push_back(values);
    } else if (column.kind != SideColumn::Kind::text && !column.categories.empty() &&
               column.categories.size() <= kMostCategories) {
      const auto categories = static_cast<std::int64_t>(column.categories.size());
      torch::Tensor values = torch::zeros({users + 1, categories});
      auto* const cells = values.data_ptr<float>();
      for (std::int64_t user = 0; user < users; ++user)
        for (std::int64_t c = column.offsets[user]; c < column.offsets[user + 1]; ++c)
          cells[user * categories + column.codes[c]] = 1;
      columns.push_back(values / std::sqrt(static_cast<double>(categories)));
    }
  }
  return columns.empty() ? torch::zeros({users + 1, 0}) : torch::cat(columns, 1);
}

class YouTube final : public RankingNetwork {
 public:
  explicit YouTube(const RankerInput& input)
      : train_(input.data.train),
        items_(input.data.items.size()),
        users_(input.data.users.size()),
        length_(input.experiment.integer("model.sequence_length")),
        dropout_(input.experiment.number("model.dropout")),
        features_(user_features(input.data)) {
    for (std::int64_t user = 0; user < train_.users(); ++user)
      for (std::int64_t position = 1; position < train_.count(user); ++position) {
        user_of_.push_back(user);
        position_of_.push_back(position);
      }
    const std::int64_t dim = input.experiment.integer("model.embedding_dim");
    const auto seed = static_cast<std::uint64_t>(input.experiment.integer("seed"));
    watched_ = register_parameter("watched", torch::empty({items_, dim}));
    classes_ = register_parameter("classes", torch::empty({items_, dim}));
    class_bias_ = register_parameter("class_bias", torch::zeros({items_}));
    tower_ = register_module("tower", Tower(dim + features_.size(1), input.experiment.integers("model.tower")));
    out_ = register_module("out", torch::nn::Linear(tower_->outputs(), dim));
    init_xavier(*this, seed);
    const torch::NoGradGuard no_grad;
    for (const auto& item : named_parameters())
      if (item.key().ends_with(".bias")) item.value().zero_();
    init_normal(watched_, 0.1, seed, "watched");
    init_normal(classes_, 0.1, seed, "classes");
  }

  std::int64_t epoch_samples() const override { return static_cast<std::int64_t>(user_of_.size()); }
  double targets(std::int64_t /*sample*/, std::int64_t /*epoch*/) const override { return 1; }

  torch::Tensor loss_sum(const NetworkBatch& batch) override {
    std::vector<RankingQuery> queries;
    std::vector<std::int64_t> targets;
    for (const std::int64_t sample : batch.samples) {
      const auto history = train_.of(user_of_[sample]);
      queries.push_back({user_of_[sample], history.first(static_cast<std::size_t>(position_of_[sample]))});
      targets.push_back(history[static_cast<std::size_t>(position_of_[sample])]);
    }
    return softmax_loss(hidden(queries, &batch), classes_, class_bias_, torch::tensor(targets, torch::kInt64));
  }

  torch::Tensor scores(std::span<const RankingQuery> queries) override {
    return torch::addmm(class_bias_, hidden(queries, nullptr), classes_.t());
  }

  /// Without any item there may still be what the side table says of the user.
  bool knows(const RankingQuery& query) const override {
    return !query.history.empty() || (query.user != kColdId && features_[query.user].any().item<bool>());
  }

 private:
  /// [B, dim]
  torch::Tensor hidden(std::span<const RankingQuery> queries, const NetworkBatch* batch) {
    std::vector<std::int64_t> ids, offsets, users;
    for (const RankingQuery& query : queries) {
      const auto kept = query.history.last(std::min(query.history.size(), static_cast<std::size_t>(length_)));
      offsets.push_back(static_cast<std::int64_t>(ids.size()));
      ids.insert(ids.end(), kept.begin(), kept.end());
      users.push_back(query.user == kColdId ? users_ : query.user);
    }
    const auto mean = torch::nn::functional::embedding_bag(torch::tensor(ids, torch::kInt64), watched_,
                                                           torch::nn::functional::EmbeddingBagFuncOptions()
                                                               .offsets(torch::tensor(offsets, torch::kInt64))
                                                               .mode(torch::kMean));
    const torch::Tensor about = features_.index_select(0, torch::tensor(users, torch::kInt64)).to(mean.scalar_type());
    return out_(tower_(torch::cat({mean, about}, 1), dropout_, batch, 0));
  }

  const Histories& train_;
  std::int64_t items_, users_, length_;
  double dropout_;
  torch::Tensor features_;                           // [users + 1, features]
  std::vector<std::int64_t> user_of_, position_of_;  // of each sample
  torch::Tensor watched_, classes_, class_bias_;     // [items, dim], [items, dim], [items]
  Tower tower_{nullptr};
  torch::nn::Linear out_{nullptr};
};

}  // namespace

std::shared_ptr<RankingNetwork> make_youtube(const RankerInput& input) { return std::make_shared<YouTube>(input); }

}  // namespace swallowtail
