#include "trainer/sap/graph_rerank.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "kernels/optimizer.h"
#include "kernels/random.h"
#include "parallel/deterministic_reduce.h"
#include "trainer/ranking/ranking_loss.h"

namespace swallowtail {
namespace {

constexpr std::int64_t kNegatives = 16;

}  // namespace

GraphRerank::GraphRerank(const GraphOptions& options, std::int64_t items) : options_(options), items_(items) {}

bool GraphRerank::is_identity() const {
  return weights_[1] == 0 && weights_[2] == 0 && weights_[3] == 0 && weights_[0] == 1;
}

std::vector<float> GraphRerank::features(const PooledRow& row, std::span<const float> scores) const {
  const std::size_t size = scores.size();
  const auto& items = row.pool.items;
  std::vector<float> once(size), twice(size), near(size, 0.0F);
  graph_.propagate(items, scores, once);
  graph_.propagate(items, once, twice);
  // Nearness over the whole graph: from the last items outwards, two steps.
  const auto recent = row.history.last(std::min(row.history.size(), static_cast<std::size_t>(options_.history)));
  if (!recent.empty()) {
    std::vector<float> at(static_cast<std::size_t>(items_), 0.0F), next(at), sum(at);
    for (const std::int64_t item : recent) at[item] += 1 / static_cast<float>(recent.size());
    for (int layer = 0; layer < 2; ++layer) {
      std::ranges::fill(next, 0.0F);
      for (std::int64_t item = 0; item < items_; ++item)
        if (at[item] != 0)
          for (const ItemGraph::Edge& edge : graph_.of(item)) next[edge.to] += at[item] * edge.weight;
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += next[i];
      at.swap(next);
    }
    for (std::size_t place = 0; place < size; ++place) near[place] = sum[items[place]];
  }
  double mean = 0, squares = 0;
  const auto count = static_cast<double>(size);
  for (const float score : scores) mean += score / count;
  for (const float score : scores) squares += (score - mean) * (score - mean) / count;
  const double deviation = std::sqrt(squares);
  std::vector<float> all(size * kFeatures);
  for (std::size_t place = 0; place < size; ++place) all[place * kFeatures] = scores[place];
  std::size_t feature = 1;
  for (const auto* values : {&once, &twice, &near}) {
    double own_mean = 0, own_squares = 0;
    for (const float value : *values) own_mean += value / count;
    for (const float value : *values) own_squares += (value - own_mean) * (value - own_mean) / count;
    const double scale = own_squares > 1e-20 ? deviation / std::sqrt(own_squares) : 0;
    for (std::size_t place = 0; place < size; ++place)
      all[place * kFeatures + feature] = static_cast<float>(((*values)[place] - own_mean) * scale);
    ++feature;
  }
  return all;
}

void GraphRerank::rerank(const PooledRow& row, std::span<float> scores) const {
  if (is_identity()) return;
  const std::vector<float> all = features(row, scores);
  for (std::size_t place = 0; place < scores.size(); ++place) {
    float sum = 0;
    for (std::size_t f = 0; f < kFeatures; ++f) sum += weights_[f] * all[place * kFeatures + f];
    scores[place] = sum;
  }
}

nlohmann::json GraphRerank::train(const PooledRows& learn, const PooledRows& judge, const RowScorer& scorer,
                                  std::int64_t k, std::uint64_t seed, Communicator& ranks) {
  // The features do not change while the weights do.
  const auto prepared = [&](const PooledRows& rows) {
    std::vector<std::vector<float>> all(rows.rows.size());
#pragma omp parallel for schedule(dynamic, 8)
    for (std::size_t r = 0; r < rows.rows.size(); ++r) {
      std::vector<float> scores(static_cast<std::size_t>(rows.rows[r].pool.size()));
      scorer(rows.rows[r], scores);
      all[r] = features(rows.rows[r], scores);
    }
    return all;
  };
  const auto learn_features = prepared(learn), judge_features = prepared(judge);
  const auto judged = [&] {
    return pooled_ndcg(
        judge,
        [&](const PooledRow& row, std::span<float> out) {
          const auto& all = judge_features[static_cast<std::size_t>(&row - judge.rows.data())];
          for (std::size_t place = 0; place < out.size(); ++place) {
            out[place] = 0;
            for (std::size_t f = 0; f < kFeatures; ++f) out[place] += weights_[f] * all[place * kFeatures + f];
          }
        },
        k, ranks);
  };
  std::vector<float> best = weights_, moments(2 * kFeatures, 0.0F);
  double reached = judged();
  std::int64_t kept = 0;
  nlohmann::json looks = nlohmann::json::array({reached});
  const auto [first, end] = chunk_share(learn.blocks(), ranks.rank(), ranks.world_size());
  for (std::int64_t step = 1; step <= options_.steps; ++step) {
    TreeSumDouble tree(kFeatures, learn.blocks(), first, end);
    for (std::int64_t block = first; block < end; ++block) {
      std::vector<double> gradient(kFeatures, 0.0);
      for (std::int64_t number = block * kPoolBlock; number < std::min(learn.all, (block + 1) * kPoolBlock); ++number) {
        const PooledRow& row = learn.rows[number - learn.first];
        const auto& all = learn_features[number - learn.first];
        const auto pairs = static_cast<double>(kNegatives * static_cast<std::int64_t>(row.relevant.size()));
        for (const std::int32_t positive : row.relevant)
          for (std::int64_t n = 0; n < kNegatives; ++n) {
            const std::int64_t negative = random::below(
                random::bits(seed, random::purpose("graph negatives") ^ static_cast<std::uint64_t>(step),
                             static_cast<std::uint64_t>(number), static_cast<std::uint64_t>(positive * kNegatives + n)),
                row.pool.size());
            double x = 0, slope = 0;
            for (std::size_t f = 0; f < kFeatures; ++f)
              x += weights_[f] *
                   (all[positive * kFeatures + f] - all[static_cast<std::size_t>(negative) * kFeatures + f]);
            bpr_loss(x, slope);
            for (std::size_t f = 0; f < kFeatures; ++f)
              gradient[f] += slope / pairs *
                             (all[positive * kFeatures + f] - all[static_cast<std::size_t>(negative) * kFeatures + f]);
          }
      }
      tree.add(block, gradient);
    }
    std::vector<double> total(kFeatures);
    tree.finish(ranks, Tag{"graph re-ranking", step}, total);
    std::vector<float> gradient;
    for (const double sum : total)
      gradient.push_back(static_cast<float>(sum / static_cast<double>(std::max<std::int64_t>(1, learn.all))));
    gradient[0] = 0;  // the scale of s is the product layer's; it says what the others weigh against
    update_dense({.kind = Optimizer::adam,
                  .learning_rate = static_cast<float>(options_.learning_rate),
                  .epsilon = usual_epsilon(Optimizer::adam),
                  .step = step},
                 weights_, gradient, moments);
    if (step % options_.check_every != 0 && step != options_.steps) continue;
    const double now = judged();
    looks.push_back(now);
    if (now <= reached) continue;
    reached = now;
    best = weights_;
    kept = step;
  }
  weights_ = best;
  return {{"validation", looks}, {"kept_step", kept}, {"weights", weights_}, {"edges", graph_.edges()}};
}

std::vector<Ranker::Reason> GraphRerank::like(std::span<const std::int64_t> history, std::int64_t item,
                                              std::size_t most) const {
  std::vector<Ranker::Reason> found;
  for (const ItemGraph::Edge& edge : graph_.of(item))
    if (std::ranges::find(history, edge.to) != history.end()) found.push_back({edge.to, edge.weight});
  std::ranges::stable_sort(found, std::greater<>(), &Ranker::Reason::share);
  found.resize(std::min(found.size(), most));
  return found;
}

}  // namespace swallowtail
