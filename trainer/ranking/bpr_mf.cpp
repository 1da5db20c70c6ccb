// BPR-MF: x_ui = <p_u, q_i> (+ b_i), trained so that what a user has touched scores above what was drawn against it.
// Source: Rendle et al., UAI 2009. Negatives: uniform, popularity^alpha, or hard: the best scored of several draws.
// L2 of the touched rows is embedding.weight_decay. Scores and gradients are those of kernels/bpr.h, on the tables
// themselves where one rank holds them whole, else on the vectors that the lookup has brought. Where one rank holds
// them, a device may make the steps from the same draws: with train.deterministic it leaves the same bits.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/bpr.h"
#include "kernels/item_panels.h"
#include "parallel/error.h"
#include "trainer/device/device_trainer.h"
#include "trainer/device/on_device.h"
#include "trainer/ranking/dot.h"
#include "trainer/ranking/negative_sampler.h"
#include "trainer/ranking/ranker.h"
#include "trainer/ranking/ranking_tables.h"
#include "trainer/ranking/triplets.h"

namespace swallowtail {
namespace {

constexpr std::int64_t kUsers = 0, kItems = 1, kBias = 2;
constexpr std::int64_t kSamplesAThread = 256;

class BprMf final : public Ranker {
 public:
  explicit BprMf(const RankerInput& input)
      : experiment_(input.experiment),
        data_(input.data),
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
        draw_(input.data.train, sampler_, drawn_, seed_),
        embedding_(make_ranking_embedding(input, tables(input))),
        dim_(embedding_->tables()[kUsers].dim),
        has_whole_tables_(holds_whole_tables(input.experiment)),
        counted_(is_hard_ ? BprNegatives::hardest : BprNegatives::all) {}

  std::int64_t epoch_samples() const override { return data_.train.size(); }

  double train_step(const RankerStep& step) override {
    if (device_) return step_on_device(step);
    const auto [begin, end] = rank_share(step.size);
    draw_.draw(step, begin, end, triplets_);
    weights_.assign(triplets_.users.size(), static_cast<float>(1.0 / static_cast<double>(step.size)));
    return has_whole_tables_ ? step_here(step, begin) : step_over_ranks(step, begin, end);
  }

  void prepare_scores() override {
    fetch_from_device();
    const auto items = gather_table(*embedding_, kItems, ranks_);
    panels_ = ItemPanels(items, dim_, has_bias_ ? gather_table(*embedding_, kBias, ranks_) : std::vector<float>{});
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
    panels_.scores({embedding_->pooled(kUsers).data(), queries.size() * static_cast<std::size_t>(dim_)}, scores);
  }

  /// A user without an interaction in training still has the random vector that the table began with.
  bool knows(const RankingQuery& query) const override {
    return query.user != kColdId && data_.train.count(query.user) > 0;
  }
  std::optional<Error> device_obstacle() const override {
    if (!has_whole_tables_)
      return experiment_.error("embedding.sharding",
                               "bpr_mf trains on a device where one rank holds its tables whole, rows in their order",
                               "set embedding.sharding: auto and parallel.wire: fp32, or parallel.device: cpu");
    if (dim_ > FactorModel::kMostDim)
      return experiment_.error(
          "model.embedding_dim",
          fmt::format("bpr_mf trains on a device with vectors of {} floats at most", FactorModel::kMostDim),
          "set a smaller model.embedding_dim, or parallel.device: cpu");
    return {};
  }
  void use_device(int device) override {
    const auto tables = embedding_->tables();
    FactorModel model{.users = tables[kUsers],
                      .items = tables[kItems],
                      .negatives_each = drawn_,
                      .negatives = counted_,
                      .is_exact = experiment_.boolean("train.deterministic"),
                      .records_graphs = experiment_.boolean("parallel.cuda_graphs")};
    if (has_bias_) model.bias = tables[kBias];
    device_number_ = device;
    on_device(device, [&] {
      device_ = device_backend()->factors(model, device);
      device_->upload(embedding_->shards());
    });
    host_is_behind_ = false;
  }
  void fetch_from_device() override {
    if (!host_is_behind_) return;
    on_device(device_number_, [&] { device_->download(embedding_->shards()); });
    host_is_behind_ = false;
  }
  void leave_device() override {
    fetch_from_device();
    device_.reset();
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

  /// Where this rank holds every table whole: rows are read and updated where they lie. The same sums in the same
  /// order as through the exchange, so the same bits.
  double step_here(const RankerStep& step, std::int64_t begin) {
    const auto shard_of = [&](std::int64_t table) -> TableShard& { return embedding_->shards()[table]; };
    TableShard &users = shard_of(kUsers), &items = shard_of(kItems);
    bpr_gradients({users.weights.data(), items.weights.data(), has_bias_ ? shard_of(kBias).weights.data() : nullptr,
                   nullptr, nullptr, nullptr, data_.users.size(), data_.items.size(), dim_},
                  {triplets_.users, triplets_.positives, triplets_.negatives, weights_}, counted_, scratch_);
    const double loss = mean_loss(step, begin, triplets_.places, scratch_.losses);
    // Items first: their gradients are multiples of the users as they were.
    const auto count = static_cast<std::int64_t>(triplets_.users.size());
    items_of_.resize(triplets_.users.size() * static_cast<std::size_t>(1 + drawn_));
    rows_.resize(triplets_.users.size());
#pragma omp parallel for schedule(static) if (count >= 2 * kSamplesAThread)
    for (std::int64_t t = 0; t < count; ++t) {
      items_of_[t * (1 + drawn_)] = triplets_.positives[t];
      std::copy_n(triplets_.negatives.begin() + t * drawn_, drawn_, items_of_.begin() + t * (1 + drawn_) + 1);
      rows_[t] = users.weights.data() + triplets_.users[t] * dim_;
    }
    group(items_of_, 1 + drawn_, scratch_.coefficients, data_.items.size());
    update(kItems, step);
    if (has_bias_) {
      static constexpr float kOne = 1;
      std::ranges::fill(rows_, &kOne);
      update(kBias, step);
    }
    for (std::int64_t t = 0; t < count; ++t) rows_[t] = scratch_.user_gradients.data() + t * dim_;
    group(triplets_.users, 1, {}, data_.users.size());
    update(kUsers, step);
    return loss;
  }

  /// The same steps by the device: the next triplets are drawn and sent while it makes this one.
  double step_on_device(const RankerStep& step) {
    const FactorOutcome outcome = on_device(device_number_, [&] {
      if (!device_->is_staged(step.step)) stage(step);
      device_->start(step.step, step.rate_factor);
      host_is_behind_ = true;
      if (step.next != nullptr) stage(*step.next);
      return device_->finish();
    });
    double loss = outcome.loss;
    if (outcome.losses.empty()) {
      refuse_bad_loss(loss, step.step);
    } else {
      loss = mean_loss(step, 0, places_of(step.step), outcome.losses);
    }
    if (outcome.bad_row) {
      const auto table = static_cast<std::size_t>(outcome.bad_row->table);
      refuse_row(embedding_->tables()[table], outcome.bad_row->row, step.step);
    }
    return loss;
  }
  void stage(const RankerStep& step) {
    draw_.draw(step, 0, step.size, triplets_);
    device_->stage(step.step, {triplets_.users, triplets_.positives, triplets_.negatives,
                               static_cast<float>(1.0 / static_cast<double>(step.size))});
    places_of(step.step) = triplets_.places;
  }
  std::vector<std::int64_t>& places_of(std::int64_t step) { return places_[static_cast<std::size_t>(step % 2)]; }

  void group(std::span<const std::int64_t> ids, std::int64_t ids_a_sample, std::span<const float> coefficients,
             std::int64_t rows) {
    offsets_.resize(triplets_.users.size() + 1);
    for (std::size_t t = 0; t < offsets_.size(); ++t) offsets_[t] = static_cast<std::int64_t>(t) * ids_a_sample;
    group_by_row({ids, offsets_, coefficients}, rows, Pooling::sum, scratch_.groups);
  }

  void update(std::int64_t table, const RankerStep& step) {
    const EmbeddingTable& about = embedding_->tables()[static_cast<std::size_t>(table)];
    OptimizerStep optimizer = about.optimizer;
    optimizer.learning_rate *= static_cast<float>(step.rate_factor);
    optimizer.step = step.step;
    update_shard(about, embedding_->shards()[table], optimizer, {}, scratch_.groups, rows_);
  }

  /// One sample: the user, and the positive before its negatives; empty bags where it is left out.
  double step_over_ranks(const RankerStep& step, std::int64_t begin, std::int64_t end) {
    batch_.size = end - begin;
    batch_.ids.resize(2);
    JaggedIds &users = batch_.ids[kUsers], &items = batch_.ids[kItems];
    for (JaggedIds* ids : {&users, &items}) {
      ids->values.clear();
      ids->offsets.assign(1, 0);
    }
    std::size_t t = 0;
    for (std::int64_t place = 0; place < batch_.size; ++place) {
      if (t < triplets_.places.size() && triplets_.places[t] == place) {
        users.values.push_back(triplets_.users[t]);
        items.values.push_back(triplets_.positives[t]);
        const auto first = triplets_.negatives.begin() + static_cast<std::ptrdiff_t>(t) * drawn_;
        items.values.insert(items.values.end(), first, first + drawn_);
        // From here on the numbers of the vectors that the lookup will have brought.
        triplets_.users[t] = place;
        triplets_.positives[t] = static_cast<std::int64_t>(t) * (1 + drawn_);
        for (std::int64_t k = 0; k < drawn_; ++k) first[k] = triplets_.positives[t] + 1 + k;
        ++t;
      }
      users.offsets.push_back(static_cast<std::int64_t>(users.values.size()));
      items.offsets.push_back(static_cast<std::int64_t>(items.values.size()));
    }
    embedding_->exchange_input(batch_, sizes(step.size), step.step);
    embedding_->lookup();
    const auto vectors = [&](std::int64_t table) { return embedding_->pooled(table).data(); };
    bpr_gradients({vectors(kUsers), vectors(kItems), has_bias_ ? vectors(kBias) : nullptr, nullptr, nullptr, nullptr,
                   batch_.size, std::ssize(items.values), dim_},
                  {triplets_.users, triplets_.positives, triplets_.negatives, weights_}, counted_, scratch_);
    const double loss = mean_loss(step, begin, triplets_.places, scratch_.losses);
    float* const user_gradients = embedding_->pooled_gradient(kUsers).data();
    float* const item_gradients = embedding_->pooled_gradient(kItems).data();
    const auto count = static_cast<std::int64_t>(triplets_.users.size());
#pragma omp parallel for schedule(static) if (count >= 2 * kSamplesAThread)
    for (std::int64_t s = 0; s < count; ++s) {
      std::copy_n(scratch_.user_gradients.data() + s * dim_, dim_, user_gradients + triplets_.users[s] * dim_);
      const float* const user = vectors(kUsers) + triplets_.users[s] * dim_;
      for (std::int64_t id = triplets_.positives[s]; id <= triplets_.positives[s] + drawn_; ++id)
        for (std::int64_t d = 0; d < dim_; ++d) item_gradients[id * dim_ + d] = scratch_.coefficients[id] * user[d];
    }
    if (has_bias_) std::ranges::copy(scratch_.coefficients, embedding_->pooled_gradient(kBias).begin());
    embedding_->exchange_gradient();
    embedding_->update(step.step, static_cast<float>(step.rate_factor));
    return loss;
  }

  /// Mean over the global batch, added by chunks: own places filled, others zero, so that the sum over ranks only
  /// copies. losses: of the samples at `places` from `begin` on. Errors: numbers.
  double mean_loss(const RankerStep& step, std::int64_t begin, std::span<const std::int64_t> places,
                   std::span<const float> losses) {
    std::vector<double> chunk_losses(static_cast<std::size_t>((step.size + chunk_ - 1) / chunk_), 0.0);
    for (std::size_t t = 0; t < places.size(); ++t)
      chunk_losses[(begin + places[t]) / chunk_] += static_cast<double>(losses[t]);
    ranks_.all_reduce_sum(Tag{"loss", step.step}, std::span(chunk_losses));
    double sum = 0;
    for (const double loss : chunk_losses) sum += loss;
    refuse_bad_loss(sum, step.step);
    return sum;
  }
  static void refuse_bad_loss(double loss, std::int64_t step) {
    if (!std::isfinite(loss))
      throw Error{ExitCode::numbers, "the loss is not finite in step " + std::to_string(step), "bpr_mf",
                  "lower embedding.learning_rate"};
  }

  /// Whether every row lies on this rank at its own place, and nothing is rounded on its way.
  bool holds_whole_tables(const Experiment& experiment) const {
    if (ranks_.world_size() > 1 || experiment.text("parallel.wire") != "fp32" ||
        (experiment.has("parallel.wire_backward") && experiment.text("parallel.wire_backward") != "fp32"))
      return false;
    const auto tables = embedding_->tables();
    const auto shards = embedding_->shards();
    for (std::size_t t = 0; t < tables.size(); ++t)
      if (t >= shards.size() || shards[t].table != static_cast<std::int64_t>(t) || !shards[t].order.is_identity() ||
          shards[t].shard.rows != tables[t].rows || shards[t].shard.cols != tables[t].dim)
        return false;
    return true;
  }

  const Experiment& experiment_;
  const Interactions& data_;
  Communicator& ranks_;
  std::int64_t chunk_;
  bool is_hard_;
  std::int64_t drawn_;
  bool has_bias_;
  std::uint64_t seed_;
  NegativeSampler sampler_;
  TripletDraw draw_;
  std::unique_ptr<ShardedEmbedding> embedding_;
  std::int64_t dim_;
  bool has_whole_tables_;
  BprNegatives counted_;
  Triplets triplets_;                             // of the step, of this rank
  std::vector<float> weights_;                    // [n]
  std::vector<std::int64_t> items_of_, offsets_;  // [n, 1 + drawn], [n + 1]
  std::vector<const float*> rows_;                // [n]
  FactorScratch scratch_;
  Batch batch_;
  ItemPanels panels_;                      // the whole table, between prepare_scores and the next one
  std::unique_ptr<FactorTrainer> device_;  // null: steps are the host's
  int device_number_ = 0;
  bool host_is_behind_ = false;                      // the device's tables have been trained since they were fetched
  std::array<std::vector<std::int64_t>, 2> places_;  // of the triplets that are staged, of even and odd steps
};

}  // namespace

std::unique_ptr<Ranker> make_bpr_mf(const RankerInput& input) { return std::make_unique<BprMf>(input); }

}  // namespace swallowtail
