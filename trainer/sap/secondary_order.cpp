#include "trainer/sap/secondary_order.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

namespace swallowtail {
namespace {

constexpr std::array kLambdas{0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5};
constexpr std::array kNus{0.0, 0.05, 0.1, 0.2, 0.3};

/// Numbers of external ids; those that the run does not know are left out: no list could hold them.
std::vector<std::int64_t> numbers_of(const IdList& items, const std::vector<std::string>& names) {
  std::vector<std::int64_t> numbers;
  for (const std::string& name : names)
    if (const std::int64_t item = items.find(name); item != kColdId) numbers.push_back(item);
  return numbers;
}

double mean_unlikeness(const SparseVectors& vectors, std::span<const std::int64_t> list) {
  double sum = 0;
  std::int64_t pairs = 0;
  for (std::size_t a = 0; a < list.size(); ++a)
    for (std::size_t b = a + 1; b < list.size(); ++b, ++pairs) sum += 1 - sparse_cosine(vectors, list[a], list[b]);
  return pairs == 0 ? 0 : sum / static_cast<double>(pairs);
}

}  // namespace

SecondaryOrder::SecondaryOrder(const Experiment& experiment, const Interactions& data, const SideColumn* likeness,
                               const ReorderChoice& choice)
    : choice_(choice), likeness_(likeness), items_(data.items.size()) {
  const std::string method = experiment.text("sap.reorder.method");
  options_.method = method == "xquad" ? ReorderMethod::xquad : ReorderMethod::mmr;
  options_.length = choice.length;
  if (experiment.has("sap.reorder.diversity")) fixed_lambda_ = experiment.number("sap.reorder.diversity");
  if (experiment.has("sap.reorder.novelty")) fixed_nu_ = experiment.number("sap.reorder.novelty");
  if (fixed_lambda_ >= 0) weights_[0] = static_cast<float>(fixed_lambda_);
  if (fixed_nu_ >= 0) weights_[1] = static_cast<float>(fixed_nu_);
  if (likeness != nullptr) {
    codes_ = likeness->codes;
    for (std::size_t item = 0; item + 1 < likeness->offsets.size(); ++item)
      std::sort(codes_.begin() + likeness->offsets[item], codes_.begin() + likeness->offsets[item + 1]);
  }
  const bool is_off = !choice.enabled || method == "none" || likeness == nullptr;
  if (is_off) weights_ = {0, 0};
  chooses_ = !is_off && (fixed_lambda_ < 0 || fixed_nu_ < 0);

  const auto counts = item_counts(data.train, items_);
  std::int64_t users = 0;
  for (std::int64_t user = 0; user < data.train.users(); ++user) users += data.train.count(user) > 0 ? 1 : 0;
  novelty_ = novelty_of(counts, users);
  const std::int64_t new_below = experiment.integer("sap.reorder.new_below");
  for (const std::int64_t count : counts) is_new_.push_back(count < new_below ? 1 : 0);
  blocked_ = numbers_of(data.items, experiment.texts("sap.reorder.blocked"));
  must_have_ = numbers_of(data.items, experiment.texts("sap.reorder.must_have"));
  constraints_.max_per_category = likeness == nullptr ? 0 : experiment.integer("sap.reorder.max_per_category");
  constraints_.min_new = experiment.integer("sap.reorder.min_new");
  constraints_.is_new = is_new_;
  constraints_.blocked = blocked_;
  constraints_.must_have = must_have_;
  constraints_.relax.clear();
  for (const std::string& name : experiment.texts("sap.reorder.relax")) {
    const auto all = {Constraint::max_per_category, Constraint::min_new, Constraint::must_have};
    const auto found = std::ranges::find(all, name, constraint_name);
    if (found == all.end())
      throw experiment.error("sap.reorder.relax", fmt::format("'{}' is no constraint", name),
                             "name max_per_category, min_new, must_have");
    constraints_.relax.push_back(*found);
  }
  has_constraints_ =
      constraints_.max_per_category > 0 || constraints_.min_new > 0 || !blocked_.empty() || !must_have_.empty();
}

std::vector<std::size_t> SecondaryOrder::order_with(const PooledRow& row, std::span<const float> scores,
                                                    const ReorderOptions& options) const {
  std::vector<std::size_t> places(scores.size());
  std::iota(places.begin(), places.end(), std::size_t{0});
  std::ranges::stable_sort(places, std::greater<>(), [&](std::size_t place) { return scores[place]; });
  if (!has_constraints_ && options.lambda == 0 && options.nu == 0) return places;
  // A candidate behind the best ones matters only where a constraint asks for it.
  const std::size_t candidates =
      has_constraints_ ? places.size() : std::min(places.size(), static_cast<std::size_t>(choice_.candidates));
  std::vector<std::int64_t> items;
  std::vector<float> relevance;
  for (std::size_t i = 0; i < candidates; ++i) {
    items.push_back(row.pool.items[places[i]]);
    relevance.push_back(scores[places[i]]);
  }
  ReorderInput input{
      .items = items, .relevance = relevance, .novelty = novelty_, .likeness = {}, .categories = {}, .interest = {}};
  std::vector<float> interest;
  if (likeness_ != nullptr) {
    input.likeness = {likeness_->offsets, codes_, {}};
    input.categories = {likeness_->offsets, codes_};
    if (options.method == ReorderMethod::xquad) {
      interest.assign(likeness_->categories.size(), 0.0F);
      float all = 0;
      for (const std::int64_t item : row.history)
        for (const std::int64_t code : input.categories.of(item)) {
          ++interest[code];
          ++all;
        }
      for (float& share : interest) share /= std::max(1.0F, all);
      if (all > 0) input.interest = interest;
    }
  }
  const Reordered chosen = reorder(input, options, constraints_);
  std::vector<std::size_t> order;
  std::vector<char> is_taken(scores.size(), 0);
  for (const std::int64_t place : chosen.places) {
    order.push_back(places[place]);
    is_taken[places[place]] = 1;
  }
  const auto is_blocked = [&](std::size_t place) {
    return std::ranges::find(blocked_, row.pool.items[place]) != blocked_.end();
  };
  for (const std::size_t place : places)
    if (is_taken[place] == 0 && !is_blocked(place)) order.push_back(place);
  return order;
}

std::vector<std::size_t> SecondaryOrder::order(const PooledRow& row, std::span<const float> scores) const {
  return order_with(row, scores, options_of(row, weights_[0], weights_[1], options_.length));
}

ReorderOptions SecondaryOrder::options_of(const PooledRow& row, double lambda, double nu, std::int64_t length) const {
  // What is chosen on the lists of users who are known says nothing of the others.
  const bool is_known = row.stratum >= 0;
  ReorderOptions options = options_;
  options.lambda = is_known || fixed_lambda_ >= 0 ? lambda : 0;
  options.nu = is_known || fixed_nu_ >= 0 ? nu : 0;
  options.length = length;
  return options;
}

nlohmann::json SecondaryOrder::choose(const PooledRows& judge, const RowScorer& scorer, std::int64_t k, double floor,
                                      Communicator& ranks) {
  nlohmann::json tried = nlohmann::json::array();
  if (!chooses_) return {{"diversity", weights_[0]}, {"novelty", weights_[1]}, {"tried", tried}};
  std::vector<std::vector<float>> scores(judge.rows.size());
#pragma omp parallel for schedule(dynamic, 8)
  for (std::size_t r = 0; r < judge.rows.size(); ++r) {
    scores[r].resize(static_cast<std::size_t>(judge.rows[r].pool.size()));
    scorer(judge.rows[r], scores[r]);
  }
  const SparseVectors likeness{likeness_->offsets, codes_, {}};
  struct Spread {
    double ndcg, unlikeness, coverage;
  };
  const auto measure = [&](double lambda, double nu) {
    std::vector<double> ndcg(judge.rows.size()), unlikeness(judge.rows.size());
    std::vector<std::int64_t> is_shown(static_cast<std::size_t>(items_), 0);
#pragma omp parallel for schedule(dynamic, 8)
    for (std::size_t r = 0; r < judge.rows.size(); ++r) {
      const auto order = order_with(judge.rows[r], scores[r], options_of(judge.rows[r], lambda, nu, k));
      std::vector<float> by_order(scores[r].size(), 0.0F);
      for (std::size_t i = 0; i < order.size(); ++i) by_order[order[i]] = static_cast<float>(order.size() - i);
      ndcg[r] = row_ndcg(judge.rows[r], by_order, k);
      std::vector<std::int64_t> list;
      for (std::size_t i = 0; i < std::min(order.size(), static_cast<std::size_t>(k)); ++i)
        list.push_back(judge.rows[r].pool.items[order[i]]);
      unlikeness[r] = mean_unlikeness(likeness, list);
#pragma omp critical
      for (const std::int64_t item : list) is_shown[item] = 1;
    }
    ranks.all_reduce_max(Tag{"items that are shown"}, std::span(is_shown));
    return Spread{exact_mean(ndcg, judge.all, ranks), exact_mean(unlikeness, judge.all, ranks),
                  static_cast<double>(std::accumulate(is_shown.begin(), is_shown.end(), std::int64_t{0})) /
                      static_cast<double>(std::max<std::int64_t>(1, items_))};
  };
  const Spread before = measure(0, 0);
  const double least = choice_.keep * (floor < 0 ? before.ndcg : floor);
  double best = 0;
  weights_ = {std::max(0.0F, static_cast<float>(fixed_lambda_)), std::max(0.0F, static_cast<float>(fixed_nu_))};
  for (const double nu : kNus) {
    if (fixed_nu_ >= 0 && nu != kNus[0]) break;
    for (const double lambda : kLambdas) {
      if (fixed_lambda_ >= 0 && lambda != kLambdas[0]) break;
      const double l = fixed_lambda_ >= 0 ? fixed_lambda_ : lambda, n = fixed_nu_ >= 0 ? fixed_nu_ : nu;
      const Spread now = measure(l, n);
      tried.push_back({{"diversity", l},
                       {"novelty", n},
                       {"ndcg", now.ndcg},
                       {"unlikeness", now.unlikeness},
                       {"coverage", now.coverage}});
      if (now.ndcg < least || before.unlikeness <= 0 || before.coverage <= 0) continue;
      // Both count by their relative gain, so that neither's scale decides.
      const double gain = std::log(now.unlikeness / before.unlikeness) + std::log(now.coverage / before.coverage);
      if (gain <= best) continue;
      best = gain;
      weights_ = {static_cast<float>(l), static_cast<float>(n)};
    }
  }
  return {{"diversity", weights_[0]}, {"novelty", weights_[1]}, {"least_ndcg", least}, {"tried", tried}};
}

}  // namespace swallowtail
