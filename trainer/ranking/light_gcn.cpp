// LightGCN: vectors of users and items are averaged over the graph of training interactions,
//   E^{l+1} = D^{-1/2} A D^{-1/2} E^l,  F = mean of E^0 … E^n,
// and trained by BPR on <F_u, F_i>, with L2 of the batch's own rows of E^0. The propagation P is linear and symmetric,
// so the gradient of E^0 is P applied to the gradient of F. Source: He et al., SIGIR 2020. Every step needs every row,
// so all ranks hold the whole table; each propagates its block of rows and scores its share of the batch. Sums go in
// the order of the graph and of the batch: the same bits on any number of ranks.
#include <algorithm>
#include <cmath>

#include "kernels/optimizer.h"
#include "kernels/random.h"
#include "parallel/error.h"
#include "trainer/data/sample_order.h"
#include "trainer/embedding/table_options.h"
#include "trainer/ranking/co_occurrence.h"
#include "trainer/ranking/dot.h"
#include "trainer/ranking/light_gcn.h"
#include "trainer/ranking/negative_sampler.h"
#include "trainer/ranking/ranker.h"
#include "trainer/ranking/ranking_loss.h"

namespace swallowtail {

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

std::vector<float> InteractionGraph::propagate(std::span<const float> from, std::int64_t dim, std::int64_t layers,
                                               Communicator& ranks) const {
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

  std::vector<float> layer(from.begin(), from.end()), next(layer.size()), mean(from.begin(), from.end());
  const auto share = static_cast<float>(1.0 / static_cast<double>(layers + 1));
  for (std::int64_t l = 0; l < layers; ++l) {
#pragma omp parallel for schedule(dynamic, 16)
    for (std::int64_t node = block[rank]; node < block[rank + 1]; ++node) {
      float* const out = next.data() + node * dim;
      std::fill_n(out, dim, 0.0F);
      for (std::int64_t edge = offsets_[node]; edge < offsets_[node + 1]; ++edge) {
        const float weight = weights_[edge];
        const float* const in = layer.data() + neighbors_[edge] * dim;
        for (std::int64_t d = 0; d < dim; ++d) out[d] += weight * in[d];
      }
    }
    if (world > 1) {
      const std::vector<float> own(next.begin() + block[rank] * dim, next.begin() + block[rank + 1] * dim);
      ranks.all_gather(Tag{"graph layer", l}, std::as_bytes(std::span(own)), chunks(next, bytes));
    }
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += next[i];
    std::swap(layer, next);
  }
  for (float& value : mean) value *= share;
  return mean;
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
                 seed_) {
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
    for (std::int64_t user = 0; user < data_.users.size(); ++user)
      user_of_.insert(user_of_.end(), static_cast<std::size_t>(data_.train.count(user)), user);
  }

  std::int64_t epoch_samples() const override { return data_.train.size(); }

  double train_step(const RankerStep& step) override {
    const std::vector<float> nodes = graph_.propagate(table_, dim_, layers_, ranks_);
    const SampleOrder order(data_.train.size(), {}, seed_, step.epoch);
    std::vector<Pair> pairs;
    for (std::int64_t place = 0; place < step.size; ++place) {
      const std::int64_t sample = order(step.first + place), user = user_of_[sample];
      for (std::int64_t k = 0; k < negatives_; ++k) {
        const std::int64_t negative = sampler_.draw(user, step.step, place, k);
        if (negative != kColdId)
          pairs.push_back({user, graph_.users() + data_.train.items[sample], graph_.users() + negative});
      }
    }
    if (pairs.empty()) return 0;
    const auto [loss, slopes] = slopes_of(pairs, nodes, step.step);
    if (!std::isfinite(loss))
      throw Error{ExitCode::numbers, "the loss is not finite in step " + std::to_string(step.step), "lightgcn",
                  "lower embedding.learning_rate"};
    std::vector<float> gradient(table_.size(), 0.0F);
    for (std::size_t p = 0; p < pairs.size(); ++p) {
      const auto& [user, positive, negative] = pairs[p];
      const auto g = static_cast<float>(slopes[p]);
      float *const du = gradient.data() + user * dim_, *const di = gradient.data() + positive * dim_,
                   *const dj = gradient.data() + negative * dim_;
      const float *const u = nodes.data() + user * dim_, *const i = nodes.data() + positive * dim_,
                         *const j = nodes.data() + negative * dim_;
      for (std::int64_t d = 0; d < dim_; ++d) {
        du[d] += g * (i[d] - j[d]);
        di[d] += g * u[d];
        dj[d] -= g * u[d];
      }
    }
    gradient = graph_.propagate(gradient, dim_, layers_, ranks_);
    const auto decay = static_cast<float>(decay_ / static_cast<double>(pairs.size()));
    for (const auto& [user, positive, negative] : pairs)
      for (const std::int64_t node : {user, positive, negative})
        for (std::int64_t d = node * dim_; d < (node + 1) * dim_; ++d) gradient[d] += decay * table_[d];
    OptimizerStep now = optimizer_;
    now.learning_rate = static_cast<float>(optimizer_.learning_rate * step.rate_factor);
    now.step = step.step;
    update_dense(now, table_, gradient, state_);
    return loss;
  }

  void prepare_scores() override { scored_ = graph_.propagate(table_, dim_, layers_, ranks_); }

  void score(std::span<const RankingQuery> queries, std::span<float> scores) override {
    const std::int64_t items = data_.items.size();
#pragma omp parallel for schedule(static)
    for (std::int64_t item = 0; item < items; ++item)
      for (std::size_t q = 0; q < queries.size(); ++q)
        scores[static_cast<std::int64_t>(q) * items + item] =
            queries[q].user == kColdId
                ? 0
                : dot(scored_.data() + queries[q].user * dim_, scored_.data() + (graph_.users() + item) * dim_, dim_);
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

  /// Mean loss, and d mean loss / d x of every pair; each rank computes its share.
  std::pair<double, std::vector<double>> slopes_of(const std::vector<Pair>& pairs, const std::vector<float>& nodes,
                                                   std::int64_t step) const {
    const auto count = static_cast<std::int64_t>(pairs.size());
    const std::int64_t first = count * ranks_.rank() / ranks_.world_size();
    const std::int64_t last = count * (ranks_.rank() + 1) / ranks_.world_size();
    std::vector<double> both(2 * pairs.size(), 0.0);  // losses, then slopes; other ranks' places are zero
#pragma omp parallel for schedule(static)
    for (std::int64_t p = first; p < last; ++p) {
      const float* const user = nodes.data() + pairs[p].user * dim_;
      const double x = static_cast<double>(dot(user, nodes.data() + pairs[p].positive * dim_, dim_)) -
                       static_cast<double>(dot(user, nodes.data() + pairs[p].negative * dim_, dim_));
      both[p] = bpr_loss(x, both[count + p]);
    }
    ranks_.all_reduce_sum(Tag{"pairs", step}, std::span(both));
    double loss = 0;
    for (std::int64_t p = 0; p < count; ++p) loss += both[p];
    std::vector<double> slopes(both.begin() + count, both.end());
    for (double& slope : slopes) slope /= static_cast<double>(count);
    return {loss / static_cast<double>(count), slopes};
  }

  const Interactions& data_;
  Communicator& ranks_;
  InteractionGraph graph_;
  std::int64_t dim_, layers_;
  std::uint64_t seed_;
  std::int64_t negatives_;
  NegativeSampler sampler_;
  OptimizerStep optimizer_;
  double decay_ = 0;
  std::vector<float> table_, state_, scored_;  // [users + items, dim]; scored_ after propagation
  std::vector<std::int64_t> user_of_;          // [training interactions]
};

}  // namespace

std::unique_ptr<Ranker> make_light_gcn(const RankerInput& input) { return std::make_unique<LightGcn>(input); }

}  // namespace swallowtail
