// BPR-MF: x_ui = <p_u, q_i> (+ b_i), trained so that what a user has touched scores above what was drawn against it.
// Source: Rendle et al., UAI 2009. Negatives: uniform, popularity^alpha, or hard: the best scored of several draws.
// L2 of the touched rows is embedding.weight_decay.
#include <algorithm>
#include <cmath>

#include "parallel/error.h"
#include "trainer/data/sample_order.h"
#include "trainer/ranking/dot.h"
#include "trainer/ranking/negative_sampler.h"
#include "trainer/ranking/ranker.h"
#include "trainer/ranking/ranking_loss.h"
#include "trainer/ranking/ranking_tables.h"

namespace swallowtail {
namespace {

constexpr std::int64_t kUsers = 0, kItems = 1, kBias = 2;
constexpr std::int64_t kSamplesAThread = 256;

class BprMf final : public Ranker {
 public:
  explicit BprMf(const RankerInput& input)
      : data_(input.data),
        ranks_(input.ranks),
        chunk_(input.experiment.integer("train.chunk")),
        is_hard_(input.experiment.text("train.negatives") == "hard"),
        drawn_(input.experiment.integer(is_hard_ ? "train.hard_candidates" : "train.negatives_per_positive")),
        has_bias_(input.experiment.boolean("model.item_bias")),
        seed_(static_cast<std::uint64_t>(input.experiment.integer("seed"))),
        sampler_(input.data.train, input.data.items.size(),
                 input.experiment.text("train.negatives") == "popularity"
                     ? input.experiment.number("train.popularity_alpha")
                     : 0,
                 seed_),
        embedding_(make_ranking_embedding(input, tables(input))),
        dim_(embedding_->tables()[kUsers].dim) {
    for (std::int64_t user = 0; user < data_.users.size(); ++user)
      user_of_.insert(user_of_.end(), static_cast<std::size_t>(data_.train.count(user)), user);
  }

  std::int64_t epoch_samples() const override { return data_.train.size(); }

  double train_step(const RankerStep& step) override {
    const auto [begin, end] = rank_share(step.size);
    make_batch(step, begin, end);
    embedding_->exchange_input(batch_, sizes(step.size), step.step);
    embedding_->lookup();
    const double loss = gradients(step, begin);
    if (!std::isfinite(loss))
      throw Error{ExitCode::numbers, "the loss is not finite in step " + std::to_string(step.step), "bpr_mf",
                  "lower embedding.learning_rate"};
    embedding_->exchange_gradient();
    embedding_->update(step.step, static_cast<float>(step.rate_factor));
    return loss;
  }

  void prepare_scores() override {
    items_ = gather_table(*embedding_, kItems, ranks_);
    if (has_bias_) bias_ = gather_table(*embedding_, kBias, ranks_);
  }

  void score(std::span<const RankingQuery> queries, std::span<float> scores) override {
    Batch batch;
    batch.size = static_cast<std::int64_t>(queries.size());
    batch.ids.resize(2);
    batch.ids[kUsers].offsets = {0};
    batch.ids[kItems].offsets.assign(queries.size() + 1, 0);
    for (const RankingQuery& query : queries) {
      if (query.user != kColdId) batch.ids[kUsers].values.push_back(query.user);
      batch.ids[kUsers].offsets.push_back(static_cast<std::int64_t>(batch.ids[kUsers].values.size()));
    }
    std::vector<std::int64_t> all(static_cast<std::size_t>(ranks_.world_size()), 0);
    all[ranks_.rank()] = batch.size;
    ranks_.all_reduce_sum(Tag{"queries"}, std::span(all));
    embedding_->exchange_input(batch, all, 0, false);
    embedding_->lookup();
    const std::int64_t items = data_.items.size();
    const float* const users = embedding_->pooled(kUsers).data();
#pragma omp parallel for schedule(static)
    for (std::int64_t item = 0; item < items; ++item)
      for (std::int64_t q = 0; q < batch.size; ++q)
        scores[q * items + item] =
            dot(users + q * dim_, items_.data() + item * dim_, dim_) + (has_bias_ ? bias_[item] : 0.0F);
  }

  /// A user without an interaction in training still has the random vector that the table began with.
  bool knows(const RankingQuery& query) const override {
    return query.user != kColdId && data_.train.count(query.user) > 0;
  }
  ShardedEmbedding* embedding() override { return embedding_.get(); }
  std::int64_t parameters() const override {
    return (data_.users.size() + data_.items.size()) * dim_ + (has_bias_ ? data_.items.size() : 0);
  }

 private:
  std::vector<EmbeddingTable> tables(const RankerInput& input) const {
    auto tables = user_and_item_tables(input, static_cast<double>(1 + drawn_));
    if (!has_bias_) return tables;
    EmbeddingTable bias = tables[kItems];
    bias.name = "item_bias";
    bias.dim = 1;
    bias.init = EmbeddingInit::zero;
    tables.push_back(bias);
    return tables;
  }

  /// Samples of the step's global batch that this rank takes: whole chunks, as the loss is summed by chunks.
  std::pair<std::int64_t, std::int64_t> share_of(std::int64_t size, int rank) const {
    const std::int64_t chunks = (size + chunk_ - 1) / chunk_, world = ranks_.world_size();
    return {std::min(size, chunks * rank / world * chunk_), std::min(size, chunks * (rank + 1) / world * chunk_)};
  }
  std::pair<std::int64_t, std::int64_t> rank_share(std::int64_t size) const { return share_of(size, ranks_.rank()); }
  std::vector<std::int64_t> sizes(std::int64_t size) const {
    std::vector<std::int64_t> all;
    for (int rank = 0; rank < ranks_.world_size(); ++rank) {
      const auto [begin, end] = share_of(size, rank);
      all.push_back(end - begin);
    }
    return all;
  }

  /// One sample: the user, and the positive before its negatives. A user with every item has none: an empty bag.
  void make_batch(const RankerStep& step, std::int64_t begin, std::int64_t end) {
    const SampleOrder order(data_.train.size(), {}, seed_, step.epoch);
    batch_.size = end - begin;
    batch_.ids.resize(2);
    JaggedIds &users = batch_.ids[kUsers], &items = batch_.ids[kItems];
    for (JaggedIds* ids : {&users, &items}) {
      ids->values.clear();
      ids->offsets.assign(1, 0);
    }
    for (std::int64_t place = begin; place < end; ++place) {
      const std::int64_t sample = order(step.first + place);
      const std::int64_t user = user_of_[sample];
      users.values.push_back(user);
      const std::size_t bag = items.values.size();
      items.values.push_back(data_.train.items[sample]);
      for (std::int64_t k = 0; k < drawn_; ++k) {
        const std::int64_t negative = sampler_.draw(user, step.step, place, k);
        if (negative != kColdId) items.values.push_back(negative);
      }
      if (items.values.size() == bag + 1) items.values.resize(bag);
      users.offsets.push_back(static_cast<std::int64_t>(users.values.size()));
      items.offsets.push_back(static_cast<std::int64_t>(items.values.size()));
    }
  }

  /// Writes the gradients of all looked-up vectors; the mean loss over the global batch.
  double gradients(const RankerStep& step, std::int64_t begin) {
    const float* const p = embedding_->pooled(kUsers).data();
    const float* const q = embedding_->pooled(kItems).data();
    const float* const b = has_bias_ ? embedding_->pooled(kBias).data() : nullptr;
    float* const dp = embedding_->pooled_gradient(kUsers).data();
    float* const dq = embedding_->pooled_gradient(kItems).data();
    float* const db = has_bias_ ? embedding_->pooled_gradient(kBias).data() : nullptr;
    const auto& offsets = batch_.ids[kItems].offsets;
    const double scale = 1.0 / static_cast<double>(step.size);
    std::vector<double> losses(static_cast<std::size_t>(batch_.size), 0.0);
    const auto score_of = [&](const float* user, std::int64_t id) {
      return static_cast<double>(dot(user, q + id * dim_, dim_)) + (b ? static_cast<double>(b[id]) : 0.0);
    };
#pragma omp parallel for schedule(static) if (batch_.size >= 2 * kSamplesAThread)
    for (std::int64_t s = 0; s < batch_.size; ++s) {
      const std::int64_t positive = offsets[s];
      std::int64_t first = positive + 1, last = offsets[s + 1];
      if (first >= last) continue;
      const float* const user = p + s * dim_;
      const double positive_score = score_of(user, positive);
      if (is_hard_) {
        std::int64_t hardest = first;
        double hardest_score = score_of(user, first);
        for (std::int64_t id = first + 1; id < last; ++id)
          if (const double score = score_of(user, id); score > hardest_score) {
            hardest = id;
            hardest_score = score;
          }
        first = hardest;
        last = hardest + 1;
      }
      const double pairs = static_cast<double>(last - first);
      for (std::int64_t id = first; id < last; ++id) {
        double slope = 0;
        losses[s] += bpr_loss(positive_score - score_of(user, id), slope) / pairs;
        const auto g = static_cast<float>(slope * scale / pairs);
        const float *const qi = q + positive * dim_, *const qj = q + id * dim_;
        float *const du = dp + s * dim_, *const di = dq + positive * dim_, *const dj = dq + id * dim_;
        for (std::int64_t d = 0; d < dim_; ++d) {
          du[d] += g * (qi[d] - qj[d]);
          di[d] += g * user[d];
          dj[d] -= g * user[d];
        }
        if (!db) continue;
        db[positive] += g;
        db[id] -= g;
      }
    }
    // By chunks: own places filled, others zero, so that the sum over ranks only copies.
    std::vector<double> chunk_losses(static_cast<std::size_t>((step.size + chunk_ - 1) / chunk_), 0.0);
    for (std::int64_t s = 0; s < batch_.size; ++s) chunk_losses[(begin + s) / chunk_] += losses[s];
    ranks_.all_reduce_sum(Tag{"loss", step.step}, std::span(chunk_losses));
    double sum = 0;
    for (const double loss : chunk_losses) sum += loss;
    return sum * scale;
  }

  const Interactions& data_;
  Communicator& ranks_;
  std::int64_t chunk_;
  bool is_hard_;
  std::int64_t drawn_;
  bool has_bias_;
  std::uint64_t seed_;
  NegativeSampler sampler_;
  std::unique_ptr<ShardedEmbedding> embedding_;
  std::int64_t dim_;
  std::vector<std::int64_t> user_of_;  // [training interactions]
  Batch batch_;
  std::vector<float> items_, bias_;  // whole tables, between prepare_scores and the next one
};

}  // namespace

std::unique_ptr<Ranker> make_bpr_mf(const RankerInput& input) { return std::make_unique<BprMf>(input); }

}  // namespace swallowtail
