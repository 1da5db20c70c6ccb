// How the product layer learns: BPR, full batches, Adam, and the best step on validation is kept.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "kernels/optimizer.h"
#include "kernels/random.h"
#include "parallel/deterministic_reduce.h"
#include "trainer/ranking/ranking_loss.h"
#include "trainer/sap/product_layer.h"

namespace swallowtail {

// Parameters in one row: gates common [C], gates own [rows, C], scale, MLP. Rows of new users have no gradient.

std::vector<float> ProductLayer::flat() const {
  std::vector<float> values = gates.common;
  values.insert(values.end(), gates.own.begin(), gates.own.end());
  values.push_back(scale_[0]);
  values.insert(values.end(), mlp_.begin(), mlp_.end());
  return values;
}

void ProductLayer::take(std::span<const float> values) {
  const auto common = static_cast<std::ptrdiff_t>(gates.common.size()),
             own = static_cast<std::ptrdiff_t>(gates.own.size());
  std::copy_n(values.begin(), common, gates.common.begin());
  std::copy_n(values.begin() + common, own, gates.own.begin());
  scale_[0] = values[static_cast<std::size_t>(common + own)];
  std::copy(values.begin() + common + own + 1, values.end(), mlp_.begin());
}

double ProductLayer::gradient_of(const PooledRow& row, std::int64_t number, std::int64_t step,
                                 std::span<double> gradient) const {
  if (row.relevant.empty() || row.stratum == kNewStratum) return 0;
  const auto size = static_cast<std::size_t>(row.pool.size()), count = static_cast<std::size_t>(components_);
  const std::size_t stratum = gates.row_of(row.stratum);
  const std::vector<double> gate = gates.of(row.stratum);
  const double factor = std::exp(scale_[0]), share = gates.shares[stratum];
  const std::size_t first_own = count + stratum * count, scale = count + gates.own.size();
  double* const mlp = gradient.data() + scale + 1;

  std::vector<float> x(static_cast<std::size_t>(features()));
  std::vector<double> up, down;
  const auto dot = [&](std::size_t place) {
    double sum = 0;
    for (std::size_t c = 0; c < count; ++c) sum += gate[c] * row.pool.scores[c * size + place];
    return sum;
  };
  const auto run = [&](Pass& pass, std::size_t place) {
    features_of(row, place, x.data());
    return factor * dot(place) + forward(pass, x);
  };
  // d loss / d score of one item, carried back into all parameters.
  const auto carry_back = [&](const Pass& pass, std::size_t place, double slope) {
    const double sum = dot(place);
    gradient[scale] += slope * factor * sum;
    for (std::size_t c = 0; c < count; ++c) {
      const double through = slope * factor * gate[c] * (row.pool.scores[c * size + place] - sum);  // of the softmax
      gradient[c] += through;
      gradient[first_own + c] += share * through;
    }
    up.assign(1, slope);
    for (std::size_t l = layers_.size(); l-- > 0;) {
      const Layer& layer = layers_[l];
      const auto& in = pass.values[l];
      down.assign(static_cast<std::size_t>(layer.in), 0.0);
      for (std::int64_t o = 0; o < layer.out; ++o) mlp[layer.bias + static_cast<std::size_t>(o)] += up[o];
      for (std::int64_t i = 0; i < layer.in; ++i) {
        const bool is_off = in[i] == 0;  // by its ReLU, or nothing comes in
        double back = 0;
        if (is_off) continue;
        const float* const weights = mlp_.data() + layer.weights + i * layer.out;
        double* const out = mlp + layer.weights + i * layer.out;
        for (std::int64_t o = 0; o < layer.out; ++o) {
          out[o] += up[o] * in[i];
          back += up[o] * weights[o];
        }
        down[i] = back;
      }
      up.swap(down);
    }
  };

  double loss = 0;
  Pass positive_pass, negative_pass;
  const auto pairs = static_cast<double>(options_.negatives * static_cast<std::int64_t>(row.relevant.size()));
  for (const std::int32_t positive : row.relevant) {
    const double positive_score = run(positive_pass, static_cast<std::size_t>(positive));
    double positive_slope = 0;
    for (std::int64_t n = 0; n < options_.negatives; ++n) {
      const std::int64_t drawn =
          random::below(random::bits(seed_, random::purpose("product negatives") ^ static_cast<std::uint64_t>(step),
                                     static_cast<std::uint64_t>(number),
                                     static_cast<std::uint64_t>(positive * options_.negatives + n)),
                        row.pool.size());
      if (std::ranges::find(row.relevant, static_cast<std::int32_t>(drawn)) != row.relevant.end()) continue;
      const double negative_score = run(negative_pass, static_cast<std::size_t>(drawn));
      double slope = 0;
      loss += bpr_loss(positive_score - negative_score, slope) / pairs;
      positive_slope += slope / pairs;
      carry_back(negative_pass, static_cast<std::size_t>(drawn), -slope / pairs);
    }
    carry_back(positive_pass, static_cast<std::size_t>(positive), positive_slope);
  }
  return loss;
}

nlohmann::json ProductLayer::train(const PooledRows& learn, const PooledRows& judge, std::int64_t k,
                                   Communicator& ranks) {
  draw_start();
  scale_[0] = 0;
  const auto scorer = [this](const PooledRow& row, std::span<float> out) { score(row, out); };
  std::vector<float> parameters = flat(), best = parameters;
  const auto size = static_cast<std::int64_t>(parameters.size());
  OptimizerStep adam{.kind = Optimizer::adam,
                     .learning_rate = static_cast<float>(options_.learning_rate),
                     .epsilon = usual_epsilon(Optimizer::adam)};
  std::vector<float> moments(static_cast<std::size_t>(dense_state_width(adam.kind, 0, size)), 0.0F);
  double reached = pooled_ndcg(judge, scorer, k, ranks);
  std::int64_t kept = 0;
  nlohmann::json looks = nlohmann::json::array({reached});
  const auto [first, end] = chunk_share(learn.blocks(), ranks.rank(), ranks.world_size());
  const std::vector<float> start = parameters;
  for (std::int64_t step = 1; step <= options_.steps; ++step) {
    std::vector<std::vector<double>> blocks(static_cast<std::size_t>(end - first));
#pragma omp parallel for schedule(dynamic)
    for (std::int64_t block = first; block < end; ++block) {
      auto& gradient = blocks[block - first];
      gradient.assign(static_cast<std::size_t>(size) + 1, 0.0);
      const std::int64_t behind = std::min(learn.all, (block + 1) * kPoolBlock);
      for (std::int64_t row = block * kPoolBlock; row < behind; ++row)
        gradient.back() += gradient_of(learn.rows[row - learn.first], row, step, gradient);
    }
    TreeSumDouble tree(size + 1, learn.blocks(), first, end);
    for (std::int64_t block = first; block < end; ++block) tree.add(block, blocks[block - first]);
    std::vector<double> total(static_cast<std::size_t>(size) + 1);
    tree.finish(ranks, Tag{"product layer", step}, total);
    std::vector<float> gradient(static_cast<std::size_t>(size));
    for (std::size_t i = 0; i < gradient.size(); ++i)
      gradient[i] = static_cast<float>(total[i] / static_cast<double>(std::max<std::int64_t>(1, learn.all)) +
                                       options_.weight_decay * (parameters[i] - start[i]));
    adam.step = step;
    update_dense(adam, parameters, gradient, moments);
    take(parameters);
    if (step % options_.check_every != 0 && step != options_.steps) continue;
    const double now = pooled_ndcg(judge, scorer, k, ranks);
    looks.push_back(now);
    if (now <= reached) continue;
    reached = now;
    best = parameters;
    kept = step;
  }
  take(best);
  return {{"validation", looks}, {"reached", reached}, {"kept_step", kept}, {"steps", options_.steps}};
}

nlohmann::json ProductLayer::train_by_prior(std::span<const double> priors, std::span<const std::int64_t> interactions,
                                            const PooledRows& learn, const PooledRows& judge, std::int64_t k,
                                            Communicator& ranks) {
  const Gates start = gates;
  std::vector<float> best;
  nlohmann::json tried = nlohmann::json::array(), kept;
  double chosen = 0;
  for (const double prior : priors) {
    gates = start;
    gates.shrink(interactions, prior);
    nlohmann::json facts = train(learn, judge, k, ranks);
    facts["prior"] = std::isfinite(prior) ? nlohmann::json(prior) : nlohmann::json(nullptr);
    tried.push_back({{"prior", facts.at("prior")}, {"validation", facts.at("reached")}});
    if (!best.empty() && facts.at("reached").get<double>() <= kept.at("reached").get<double>()) continue;
    best = flat();
    chosen = prior;
    kept = std::move(facts);
  }
  gates.shrink(interactions, chosen);
  take(best);
  kept["priors"] = std::move(tried);
  return kept;
}

}  // namespace swallowtail
