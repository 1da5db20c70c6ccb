// Ranking models on small data: against formulas, and the same bits on any number of ranks.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <set>

#include "kernels/random.h"
#include "parallel/local_communicator.h"
#include "tests/unit/ranking/interactions_fixture.h"
#include "trainer/ranking/co_occurrence.h"
#include "trainer/ranking/dot.h"
#include "trainer/ranking/light_gcn.h"
#include "trainer/ranking/ranker.h"
#include "trainer/ranking/ranking_tables.h"

namespace swallowtail {
namespace {

using test::interactions;
using Make = std::unique_ptr<Ranker> (*)(const RankerInput&);

Experiment experiment(const std::string& yaml) {
  return Experiment::parse("data: {source: interactions, train: none}\n" + yaml);
}

/// A few users with a taste: user u likes items of the parity of u.
Interactions tastes(std::int64_t users, std::int64_t items) {
  std::vector<std::vector<std::int64_t>> histories;
  for (std::int64_t user = 0; user < users; ++user) {
    auto& history = histories.emplace_back();
    for (std::int64_t item = user % 2; item < items; item += 2)
      if ((item * 7 + user * 3) % 5 != 0) history.push_back(item);
  }
  return interactions(histories, items);
}

std::vector<float> scores_of(Ranker& model, const Interactions& data, std::int64_t user) {
  std::vector<float> scores(static_cast<std::size_t>(data.items.size()));
  const RankingQuery query{user, data.train.of(user)};
  model.score(std::span(&query, 1), scores);
  return scores;
}

TEST(Dot, IsTheSumOfProductsAtAnyWidth) {
  for (std::int64_t dim : {0, 1, 7, 16, 17, 64, 100}) {
    std::vector<float> a, b;
    double expected = 0;
    for (std::int64_t d = 0; d < dim; ++d) {
      a.push_back(static_cast<float>(d % 5) - 1.5F);
      b.push_back(0.25F * static_cast<float>(d % 7));
      expected += static_cast<double>(a.back()) * b.back();
    }
    EXPECT_EQ(dot(a.data(), b.data(), dim), static_cast<float>(expected)) << dim;  // exact: few bits each
  }
}

TEST(CoOccurrence, EqualsTheProductOfTheMatrices) {
  EXPECT_TRUE(rc::check([] {
    const auto items = *rc::gen::inRange<std::int64_t>(1, 9);
    const auto histories = *rc::gen::container<std::vector<std::vector<std::int64_t>>>(
        rc::gen::container<std::vector<std::int64_t>>(rc::gen::inRange<std::int64_t>(0, items)));
    const Interactions data = interactions(histories, items);
    const CoOccurrence together(data.train, items);
    std::int64_t rows = 0;
    together.for_each_row(0, items, [&](std::int64_t item, auto others, auto counts) {
      RC_ASSERT(item == rows++);
      for (std::int64_t other = 0; other < items; ++other) {
        std::int64_t both = 0;
        for (const auto& history : histories)
          both += std::ranges::count(history, item) > 0 && std::ranges::count(history, other) > 0 ? 1 : 0;
        if (other == item) {
          RC_ASSERT(together.users()[item] == both);
        } else {
          RC_ASSERT(counts[other] == both);
          RC_ASSERT(std::ranges::binary_search(others, other) == (both > 0));
        }
      }
    });
  }));
}

TEST(ItemKnn, EqualsTheFormulaAndKeepsTheNearest) {
  const Interactions data = interactions({{0, 1, 2}, {0, 1}, {1, 2}, {3}, {}}, 5);
  const auto rank = make_single_rank();
  const auto from = experiment("model: {type: item_knn, neighbors: 2, shrink: 1}");
  const auto model = make_item_knn({from, data, *rank});
  model->fit();
  model->prepare_scores();
  // n_0 = 2, n_1 = 3, n_2 = 2, n_01 = 2, n_02 = 1, n_12 = 2
  const double s01 = 2 / (std::sqrt(6.0) + 1), s02 = 1 / (2.0 + 1), s12 = s01;
  const auto scores = scores_of(*model, data, 1);  // history 0, 1
  EXPECT_FLOAT_EQ(scores[0], static_cast<float>(s01));
  EXPECT_FLOAT_EQ(scores[1], static_cast<float>(s01));
  EXPECT_FLOAT_EQ(scores[2], static_cast<float>(s02 + s12));
  EXPECT_EQ(scores[3], 0);
  EXPECT_FALSE(model->knows({4, data.train.of(4)}));
  const auto reasons = model->reasons({1, data.train.of(1)}, 2);
  ASSERT_EQ(reasons.size(), 2U);
  EXPECT_EQ(reasons[0].item, 1);

  const auto nearest = experiment("model: {type: item_knn, neighbors: 1, shrink: 1}");
  const auto narrow = make_item_knn({nearest, data, *rank});
  narrow->fit();
  narrow->prepare_scores();
  const auto few = scores_of(*narrow, data, 1);
  EXPECT_FLOAT_EQ(few[2], static_cast<float>(s12));  // item 2 keeps item 1 alone
  EXPECT_FLOAT_EQ(few[1], static_cast<float>(s01));  // items 0 and 2 are as near to 1: the smaller stays
}

const std::string kBpr =
    "model: {type: bpr_mf, embedding_dim: 8, item_bias: true}\n"
    "embedding: {optimizer: adam, learning_rate: 0.05, init: normal, init_scale: 0.1, sharding: SHARDING}\n"
    "train: {chunk: 4, negatives: NEGATIVES, negatives_per_positive: 2, hard_candidates: 3}\n";

std::string replaced(std::string text, const std::string& word, const std::string& by) {
  text.replace(text.find(word), word.size(), by);
  return text;
}

/// Losses of a few steps, then the scores of every user.
std::vector<double> trained(Communicator& ranks, Make make, const Experiment& from, const Interactions& data) {
  const auto model = make({from, data, ranks});
  std::vector<double> all;
  model->fit();
  const std::int64_t samples = model->epoch_samples(), batch = 23;
  for (std::int64_t step = 1, epoch = 0; epoch < 2 && samples > 0; ++epoch)
    for (std::int64_t first = 0; first < samples; first += batch, ++step)
      all.push_back(
          model->train_step({.step = step, .epoch = epoch, .first = first, .size = std::min(batch, samples - first)}));
  model->prepare_scores();
  for (std::int64_t user = 0; user < data.users.size(); ++user) {
    const auto scores = scores_of(*model, data, user);
    all.insert(all.end(), scores.begin(), scores.end());
  }
  return all;
}

void expect_same_on_any_ranks(Make make, const Experiment& from, const Interactions& data, const std::string& what) {
  std::vector<double> one;
  run_ranks(1, [&](Communicator& ranks) { one = trained(ranks, make, from, data); });
  for (const int world : {2, 3, 4, 8}) {
    std::mutex mutex;
    run_ranks(world, [&](Communicator& ranks) {
      const auto many = trained(ranks, make, from, data);
      const std::lock_guard guard(mutex);
      EXPECT_EQ(many, one) << what << " on rank " << ranks.rank() << " of " << world;
    });
  }
}

/// Four users with a column, one without, and one without interactions whose column says which group is its own.
Interactions groups() {
  Interactions data = interactions({{0, 1, 2}, {0, 1}, {0, 3}, {3, 4}, {0, 4}, {}}, 6);
  data.user_table.columns = {test::category_column("kind", {"a", "b"}, {0, 0, 1, 1, -1, 1}),
                             test::number_column("same", {1, 1, 1, 1, 1, 1})};
  return data;
}

TEST(Demographic, EqualsTheFormula) {
  const Interactions data = groups();
  const auto rank = make_single_rank();
  const double weight = 0.7, smoothing_users = 3;
  const auto from = experiment("model: {type: demographic, demographic_weight: 0.7, smoothing_users: 3}");
  const auto model = make_demographic({from, data, *rank});
  model->fit();
  model->prepare_scores();
  const double all = 11, users = 5, m = smoothing_users * all / users;
  const std::vector<double> counts{4, 2, 1, 2, 2, 0};
  const std::vector<std::vector<double>> of_group{{2, 2, 1, 0, 0, 0}, {1, 0, 0, 2, 1, 0}, {1, 0, 0, 0, 1, 0}};
  for (const auto& [user, group] : {std::pair(0, 0), {2, 1}, {4, 2}, {5, 1}}) {  // "same" tells nobody apart
    double in_group = 0;
    for (const double count : of_group[group]) in_group += count;
    const auto expected = [&](std::size_t item) {
      const double share = (counts[item] + 0.5) / (all + 0.5 * 6);
      return std::log(share) + weight * std::log((of_group[group][item] + m * share) / (in_group + m) / share);
    };
    const auto scores = scores_of(*model, data, user);
    // Scores rank one user's items, so what is the same for all of them does not count.
    for (std::size_t item = 0; item < scores.size(); ++item)
      EXPECT_NEAR(scores[item] - scores[0], expected(item) - expected(0), 1e-6) << user << ", " << item;
  }
}

TEST(Demographic, NewUsersGetWhatTheirGroupTakes) {
  const Interactions data = groups();
  const auto rank = make_single_rank();
  const auto from = experiment("model: {type: demographic, demographic_weight: 1, smoothing_users: 1}");
  const auto model = make_demographic({from, data, *rank});
  model->fit();
  model->prepare_scores();
  const auto scores = scores_of(*model, data, 5);  // group b takes item 3, which is not the most popular one
  EXPECT_EQ(std::ranges::max_element(scores) - scores.begin(), 3);
  EXPECT_TRUE(model->knows({5, {}}));
  EXPECT_FALSE(model->knows({kColdId, {}}));
  std::vector<float> unknown(6);
  const RankingQuery nobody{kColdId, {}};
  model->score(std::span(&nobody, 1), unknown);
  EXPECT_EQ(std::ranges::max_element(unknown) - unknown.begin(), 0);

  Interactions plain = groups();
  plain.user_table.columns.clear();
  const auto without = make_demographic({from, plain, *rank});
  EXPECT_FALSE(without->knows({0, plain.train.of(0)})) << "nothing is known of anybody";
}

TEST(Rankers, HaveTheSameBitsOnAnyNumberOfRanks) {
  const Interactions data = tastes(13, 17);
  expect_same_on_any_ranks(make_popularity, experiment("model: {type: popularity}"), data, "popularity");
  expect_same_on_any_ranks(make_demographic, experiment("model: {type: demographic}"), groups(), "demographic");
  expect_same_on_any_ranks(make_item_knn, experiment("model: {type: item_knn, neighbors: 5}"), data, "item_knn");
  expect_same_on_any_ranks(make_light_gcn,
                           experiment("model: {type: lightgcn, embedding_dim: 8, layers: 3}\n"
                                      "embedding: {optimizer: adam, learning_rate: 0.05, weight_decay: 0.01}\n"),
                           data, "lightgcn");
  for (const char* sharding : {"table_wise", "row_wise", "column_wise", "data_parallel"})
    expect_same_on_any_ranks(make_bpr_mf,
                             experiment(replaced(replaced(kBpr, "SHARDING", sharding), "NEGATIVES", "uniform")), data,
                             fmt::format("bpr_mf, {}", sharding));
  // table_wise: one rank holds the tables whole and needs no exchange.
  for (const char* negatives : {"popularity", "hard"})
    for (const char* sharding : {"row_wise", "table_wise"})
      expect_same_on_any_ranks(make_bpr_mf,
                               experiment(replaced(replaced(kBpr, "SHARDING", sharding), "NEGATIVES", negatives)), data,
                               fmt::format("bpr_mf, {}, {}", negatives, sharding));
}

std::vector<float> propagated(InteractionGraph& graph, const std::vector<float>& from, std::int64_t dim,
                              std::int64_t layers) {
  const auto rank = make_single_rank();
  std::vector<float> out(from.size()), in_place = from;
  graph.propagate(from, dim, layers, *rank, out);
  graph.propagate(in_place, dim, layers, *rank, in_place);
  EXPECT_EQ(in_place, out);
  return out;
}

TEST(LightGcn, PropagationByHand) {
  const Interactions data = interactions({{0, 1}, {1, 2}}, 3);
  InteractionGraph graph(data.train, 3);
  const std::vector<float> table{1, 2, 3, 4, 5};
  const std::vector<double> golden{2.12377345, 3.09517797, 2.20710678, 3.44280904, 3.44280904};
  const auto two = propagated(graph, table, 1, 2);
  for (std::size_t node = 0; node < golden.size(); ++node) EXPECT_NEAR(two[node], golden[node], 5e-7) << node;
  EXPECT_EQ(propagated(graph, table, 1, 0), table);
}

TEST(LightGcn, PropagationIsItsOwnTransposeAndLeavesLonelyNodesAlone) {
  EXPECT_TRUE(rc::check([] {
    const auto items = *rc::gen::inRange<std::int64_t>(1, 8);
    const auto histories = *rc::gen::nonEmpty(rc::gen::container<std::vector<std::vector<std::int64_t>>>(
        rc::gen::container<std::vector<std::int64_t>>(rc::gen::inRange<std::int64_t>(0, items))));
    const auto layers = *rc::gen::inRange<std::int64_t>(0, 5);
    const Interactions data = interactions(histories, items);
    InteractionGraph graph(data.train, items);
    const std::int64_t dim = 3;
    std::vector<float> a, b;
    for (std::int64_t i = 0; i < graph.nodes() * dim; ++i) {
      a.push_back(static_cast<float>(random::normal(static_cast<std::uint64_t>(i))));
      b.push_back(static_cast<float>(random::normal(static_cast<std::uint64_t>(i) + 1000)));
    }
    const auto pa = propagated(graph, a, dim, layers), pb = propagated(graph, b, dim, layers);
    double left = 0, right = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      left += static_cast<double>(pa[i]) * b[i];
      right += static_cast<double>(a[i]) * pb[i];
    }
    RC_ASSERT(std::abs(left - right) <= 1e-4 * (1 + std::abs(left)));
    for (std::size_t user = 0; user < histories.size(); ++user)
      if (histories[user].empty())
        RC_ASSERT(std::abs(pa[user * dim] - a[user * dim] / static_cast<float>(layers + 1)) < 1e-6F);
  }));
}

TEST(LightGcn, AStepOfSgdGoesDownTheGradient) {
  // The loss of the whole of the data after a step is what its gradient promises, to first order.
  const Interactions data = tastes(9, 11);
  const auto rank = make_single_rank();
  const auto losses = [&](double rate) {
    const auto from = experiment(fmt::format(
        "model: {{type: lightgcn, embedding_dim: 4, layers: 3}}\nembedding: {{optimizer: sgd, learning_rate: {}}}\n",
        rate));
    const auto model = make_light_gcn({from, data, *rank});
    const RankerStep step{.step = 1, .epoch = 0, .first = 0, .size = model->epoch_samples()};
    const auto before = model->state()[0];
    const auto* const table = reinterpret_cast<const float*>(before.bytes.data());
    const std::vector<float> old(table, table + before.bytes.size() / sizeof(float));
    const double first = model->train_step(step);
    double moved = 0;
    for (std::size_t i = 0; i < old.size(); ++i) moved += std::pow(static_cast<double>(table[i]) - old[i], 2);
    return std::tuple(first, model->train_step(step), moved / rate);  // the same negatives: the same function
  };
  const auto [first, second, promised] = losses(0.05);
  EXPECT_GT(promised, 0);
  EXPECT_NEAR(first - second, promised, 0.1 * promised);
}

TEST(BprMf, AStepOfSgdIsTheFormula) {
  const Interactions data = interactions({{0}}, 2);  // one user, one positive, one possible negative
  const auto rank = make_single_rank();
  const double rate = 0.5;
  const auto from = experiment(
      "model: {type: bpr_mf, embedding_dim: 3}\n"
      "embedding: {optimizer: sgd, learning_rate: 0.5, init: normal, init_scale: 1}\n");
  const auto model = make_bpr_mf({from, data, *rank});
  const auto users = gather_table(*model->embedding(), 0, *rank), items = gather_table(*model->embedding(), 1, *rank);
  const double loss = model->train_step({.step = 1, .epoch = 0, .first = 0, .size = 1});
  double x = 0;
  for (int d = 0; d < 3; ++d) x += static_cast<double>(users[d]) * (items[d] - items[3 + d]);
  EXPECT_NEAR(loss, std::log1p(std::exp(-x)), 1e-6);
  const double slope = -1 / (1 + std::exp(x));
  const auto new_users = gather_table(*model->embedding(), 0, *rank);
  const auto new_items = gather_table(*model->embedding(), 1, *rank);
  for (int d = 0; d < 3; ++d) {
    EXPECT_NEAR(new_users[d], users[d] - rate * slope * (items[d] - items[3 + d]), 1e-6);
    EXPECT_NEAR(new_items[d], items[d] - rate * slope * users[d], 1e-6);
    EXPECT_NEAR(new_items[3 + d], items[3 + d] + rate * slope * users[d], 1e-6);
  }
}

TEST(BprMf, UsersWithEveryItemAreLeftAlone) {
  const Interactions data = interactions({{0, 1, 2}}, 3);
  const auto rank = make_single_rank();
  const auto from = experiment("model: {type: bpr_mf, embedding_dim: 4}\nembedding: {optimizer: sgd}\n");
  const auto model = make_bpr_mf({from, data, *rank});
  const auto before = gather_table(*model->embedding(), 0, *rank);
  EXPECT_EQ(model->train_step({.step = 1, .epoch = 0, .first = 0, .size = 3}), 0);
  EXPECT_EQ(gather_table(*model->embedding(), 0, *rank), before);
}

TEST(BprMf, LearnsATaste) {
  const Interactions data = tastes(40, 30);
  const auto rank = make_single_rank();
  const auto from = experiment(replaced(replaced(kBpr, "SHARDING", "auto"), "NEGATIVES", "uniform"));
  const auto model = make_bpr_mf({from, data, *rank});
  const std::int64_t samples = model->epoch_samples();
  double loss = 0;
  for (std::int64_t epoch = 0; epoch < 20; ++epoch)
    loss = model->train_step({.step = epoch + 1, .epoch = epoch, .first = 0, .size = samples});
  EXPECT_LT(loss, 0.2);
  model->prepare_scores();
  std::int64_t right = 0, all = 0;
  for (std::int64_t user = 0; user < data.users.size(); ++user) {
    const auto scores = scores_of(*model, data, user);
    const std::set<std::int64_t> seen(data.train.of(user).begin(), data.train.of(user).end());
    for (std::int64_t liked = user % 2; liked < 30; liked += 2)
      for (std::int64_t other = 1 - user % 2; other < 30; other += 2) {
        if (seen.contains(liked)) continue;  // what it has been trained on proves nothing
        right += scores[liked] > scores[other] ? 1 : 0;
        ++all;
      }
  }
  EXPECT_GT(static_cast<double>(right), 0.9 * static_cast<double>(all));
}

}  // namespace
}  // namespace swallowtail
