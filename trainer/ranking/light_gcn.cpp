// LightGCN: vectors of users and items are averaged over the graph of training interactions,
//   E^{l+1} = D^{-1/2} A D^{-1/2} E^l,  F = mean of E^0 … E^n,
// and trained by BPR on <F_u, F_i>, with L2 of the batch's own rows of E^0. The propagation P is linear and symmetric,
// so the gradient of E^0 is P applied to the gradient of F. Source: He et al., SIGIR 2020. Every step needs every row,
// so all ranks hold the whole table; each propagates its block of rows and scores its share of the batch. Sums go in
// the order of the graph and of the batch: the same bits on any number of ranks.
#include <algorithm>
#include <cmath>

#include "kernels/embedding.h"
#include "kernels/item_panels.h"
#include "kernels/optimizer.h"
#include "kernels/random.h"
#include "parallel/error.h"
#include "trainer/embedding/table_options.h"
#include "trainer/ranking/co_occurrence.h"
#include "trainer/ranking/dot.h"
#include "trainer/ranking/light_gcn.h"
#include "trainer/ranking/negative_sampler.h"
#include "trainer/ranking/ranker.h"
#include "trainer/ranking/ranking_loss.h"
#include "trainer/ranking/triplets.h"

namespace swallowtail {

namespace {
constexpr std::int64_t kFloatsForThreads = 64 * 1024;
}

InteractionGraph::InteractionGraph(const Histories& train, std::int64_t items) : users_(train.users()) {
  const std::int64_t nodes = users_ + items;
  std::vector<std::vector<std::int64_t>> users_of(static_cast<std::size_t>(items));
  offsets_.assign(1, 0);
  for (std::int64_t user = 0; user < users_; ++user) {
    for (const std::int64_t item : distinct_items(train.of(user))) {
      neighbors_.push_back(users_ + item);
      users_of[item].push_back(user);
    }
    offsets_.push_back(static_cast<std::int64_t>(neighbors_.size()));
  }
  for (const auto& users : users_of) {
    neighbors_.insert(neighbors_.end(), users.begin(), users.end());
    offsets_.push_back(static_cast<std::int64_t>(neighbors_.size()));
  }
  std::vector<double> root(static_cast<std::size_t>(nodes), 0);
  for (std::int64_t node = 0; node < nodes; ++node)
    root[node] = std::sqrt(static_cast<double>(offsets_[node + 1] - offsets_[node]));
  for (std::int64_t node = 0; node < nodes; ++node)
    for (std::int64_t edge = offsets_[node]; edge < offsets_[node + 1]; ++edge)
      weights_.push_back(static_cast<float>(1 / (root[node] * root[neighbors_[edge]])));
}

void InteractionGraph::propagate(std::span<const float> from, std::int64_t dim, std::int64_t layers,
                                 Communicator& ranks, std::span<float> out) {
  const std::int64_t world = ranks.world_size(), rank = ranks.rank();
  // Blocks of about as many edges each.
  std::vector<std::int64_t> block{0};
  for (std::int64_t r = 1; r <= world; ++r)
    block.push_back(std::max(
        block.back(), r == world ? nodes()
                                 : std::lower_bound(offsets_.begin(), offsets_.end(), offsets_.back() * r / world) -
                                       offsets_.begin()));
  for (auto& end : block) end = std::min(end, nodes());
  std::vector<std::int64_t> counts;
  for (std::int64_t r = 0; r < world; ++r) counts.push_back((block[r + 1] - block[r]) * dim);
  const auto bytes = byte_offsets(counts, sizeof(float));
  const std::int64_t first = block[rank], last = block[rank + 1], floats = nodes() * dim;
  const JaggedView own{
      neighbors_,
      std::span(offsets_).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(last - first + 1)),
      weights_};

  layer_.assign(from.begin(), from.end());
  next_.resize(layer_.size());
  if (out.data() != from.data()) std::ranges::copy(from, out.begin());
  const auto share = static_cast<float>(1.0 / static_cast<double>(layers + 1));
  for (std::int64_t l = 0; l < layers; ++l) {
    pooled_lookup_forward({layer_.data(), nodes(), dim}, own, Pooling::sum, next_.data() + first * dim);
    if (world > 1) {
      const std::vector<float> mine(next_.begin() + first * dim, next_.begin() + last * dim);
      ranks.all_gather(Tag{"graph layer", l}, std::as_bytes(std::span(mine)), chunks(next_, bytes));
    }
#pragma omp parallel for schedule(static) if (floats >= kFloatsForThreads)
    for (std::int64_t i = 0; i < floats; ++i) out[i] += next_[i];
    std::swap(layer_, next_);
  }
#pragma omp parallel for schedule(static) if (floats >= kFloatsForThreads)
  for (std::int64_t i = 0; i < floats; ++i) out[i] *= share;
}

namespace {

class LightGcn final : public Ranker {
 public:
  explicit LightGcn(const RankerInput& input)
      : data_(input.data),
        ranks_(input.ranks),
        graph_(input.data.train, input.data.items.size()),
        dim_(input.experiment.integer("model.embedding_dim")),
        layers_(input.experiment.integer("model.layers")),
        seed_(static_cast<std::uint64_t>(input.experiment.integer("seed"))),
        negatives_(input.experiment.integer("train.negatives_per_positive")),
        sampler_(input.data.train, input.data.items.size(),
                 input.experiment.text("train.negatives") == "popularity"
                     ? input.experiment.number("train.popularity_alpha")
                     : 0,
                 seed_),
        draw_(input.data.train, sampler_, negatives_, seed_) {
    if (input.experiment.text("train.negatives") == "hard")
      throw input.experiment.error("train.negatives", "lightgcn draws uniform or by popularity", "choose one of them");
    optimizer_.kind = parse_optimizer(input.experiment.text("embedding.optimizer"));
    if (optimizer_.kind == Optimizer::rowwise_adagrad) optimizer_.kind = Optimizer::adagrad;
    optimizer_.learning_rate = static_cast<float>(input.experiment.number("embedding.learning_rate"));
    optimizer_.beta1 = static_cast<float>(input.experiment.number("embedding.beta1"));
    optimizer_.beta2 = static_cast<float>(input.experiment.number("embedding.beta2"));
    optimizer_.epsilon = input.experiment.has("embedding.epsilon")
                             ? static_cast<float>(input.experiment.number("embedding.epsilon"))
                             : usual_epsilon(optimizer_.kind);
    decay_ = input.experiment.number("embedding.weight_decay");
    const double deviation =
        input.experiment.has("embedding.init_scale") ? input.experiment.number("embedding.init_scale") : 0.1;
    for (std::int64_t i = 0; i < graph_.nodes() * dim_; ++i)
      table_.push_back(static_cast<float>(
          deviation * random::normal(random::bits(seed_, random::purpose("lightgcn"), static_cast<std::uint64_t>(i)))));
    state_.assign(
        static_cast<std::size_t>(dense_state_width(optimizer_.kind, 0, static_cast<std::int64_t>(table_.size()))),
        0.0F);
    scored_.resize(table_.size());
    gradient_.resize(table_.size());
  }

  std::int64_t epoch_samples() const override { return data_.train.size(); }

  double train_step(const RankerStep& step) override {
    draw_.draw(step, 0, step.size, triplets_);
    if (triplets_.users.empty()) return 0;
    graph_.propagate(table_, dim_, layers_, ranks_, scored_);
    pairs_.clear();
    for (std::size_t t = 0; t < triplets_.negatives.size(); ++t) {
      const std::size_t sample = t / static_cast<std::size_t>(negatives_);
      pairs_.push_back({triplets_.users[sample], graph_.users() + triplets_.positives[sample],
                        graph_.users() + triplets_.negatives[t]});
    }
    const double loss = find_slopes(step.step);
    if (!std::isfinite(loss))
      throw Error{ExitCode::numbers, "the loss is not finite in step " + std::to_string(step.step), "lightgcn",
                  "lower embedding.learning_rate"};
    std::ranges::fill(gradient_, 0.0F);
    for (std::size_t p = 0; p < pairs_.size(); ++p) {
      const auto& [user, positive, negative] = pairs_[p];
      const auto g = static_cast<float>(both_[pairs_.size() + p]);
      float *const du = gradient_.data() + user * dim_, *const di = gradient_.data() + positive * dim_,
                   *const dj = gradient_.data() + negative * dim_;
      const float *const u = scored_.data() + user * dim_, *const i = scored_.data() + positive * dim_,
                         *const j = scored_.data() + negative * dim_;
      for (std::int64_t d = 0; d < dim_; ++d) {
        du[d] += g * (i[d] - j[d]);
        di[d] += g * u[d];
        dj[d] -= g * u[d];
      }
    }
    graph_.propagate(gradient_, dim_, layers_, ranks_, gradient_);
    const auto decay = static_cast<float>(decay_ / static_cast<double>(pairs_.size()));
    places_.assign(static_cast<std::size_t>(graph_.nodes()), 0.0F);
    for (const auto& [user, positive, negative] : pairs_)
      for (const std::int64_t node : {user, positive, negative}) places_[node] += 1;
#pragma omp parallel for schedule(static)
    for (std::int64_t node = 0; node < graph_.nodes(); ++node)
      for (std::int64_t d = node * dim_; places_[node] > 0 && d < (node + 1) * dim_; ++d)
        gradient_[d] += decay * places_[node] * table_[d];
    OptimizerStep now = optimizer_;
    now.learning_rate = static_cast<float>(optimizer_.learning_rate * step.rate_factor);
    now.step = step.step;
    update_dense(now, table_, gradient_, state_);
    return loss;
  }

  void prepare_scores() override {
    graph_.propagate(table_, dim_, layers_, ranks_, scored_);
    panels_ = ItemPanels(std::span(scored_).subspan(static_cast<std::size_t>(graph_.users() * dim_)), dim_);
  }

  void score(std::span<const RankingQuery> queries, std::span<float> scores) override {
    std::vector<float> users(queries.size() * static_cast<std::size_t>(dim_), 0.0F);
    for (std::size_t q = 0; q < queries.size(); ++q)
      if (queries[q].user != kColdId)
        std::copy_n(scored_.begin() + queries[q].user * dim_, dim_,
                    users.begin() + static_cast<std::int64_t>(q) * dim_);
    panels_.scores(users, scores);
  }

  bool knows(const RankingQuery& query) const override {
    return query.user != kColdId && data_.train.count(query.user) > 0;
  }
  std::vector<RankerState> state() override {
    return {ranker_state("lightgcn/table", {graph_.nodes(), dim_}, table_),
            ranker_state("lightgcn/optimizer_state", {static_cast<std::int64_t>(state_.size())}, state_)};
  }
  std::int64_t parameters() const override { return graph_.nodes() * dim_; }

 private:
  struct Pair {
    std::int64_t user, positive, negative;  // nodes
  };

  /// Mean loss; both_ becomes the loss of every pair, then d mean loss / d x of every pair. Each rank computes its
  /// share.
  double find_slopes(std::int64_t step) {
    const auto count = static_cast<std::int64_t>(pairs_.size());
    const std::int64_t first = count * ranks_.rank() / ranks_.world_size();
    const std::int64_t last = count * (ranks_.rank() + 1) / ranks_.world_size();
    both_.assign(2 * pairs_.size(), 0.0);  // other ranks' places are zero
#pragma omp parallel for schedule(static)
    for (std::int64_t p = first; p < last; ++p) {
      const float* const user = scored_.data() + pairs_[p].user * dim_;
      const double x = static_cast<double>(dot(user, scored_.data() + pairs_[p].positive * dim_, dim_)) -
                       static_cast<double>(dot(user, scored_.data() + pairs_[p].negative * dim_, dim_));
      both_[p] = bpr_loss(x, both_[count + p]);
    }
    ranks_.all_reduce_sum(Tag{"pairs", step}, std::span(both_));
    double loss = 0;
    for (std::int64_t p = 0; p < count; ++p) {
      loss += both_[p];
      both_[count + p] /= static_cast<double>(count);
    }
    return loss / static_cast<double>(count);
  }

  const Interactions& data_;
  Communicator& ranks_;
  InteractionGraph graph_;
  std::int64_t dim_, layers_;
  std::uint64_t seed_;
  std::int64_t negatives_;
  NegativeSampler sampler_;
  TripletDraw draw_;
  OptimizerStep optimizer_;
  double decay_ = 0;
  std::vector<float> table_, state_, scored_, gradient_;  // [users + items, dim]; scored_ after propagation
  ItemPanels panels_;                                     // the items of scored_
  // Of a step.
  Triplets triplets_;
  std::vector<Pair> pairs_;
  std::vector<double> both_;   // [2, pairs]
  std::vector<float> places_;  // [users + items] of each row among the pairs
};

}  // namespace

std::unique_ptr<Ranker> make_light_gcn(const RankerInput& input) { return std::make_unique<LightGcn>(input); }

}  // namespace swallowtail
