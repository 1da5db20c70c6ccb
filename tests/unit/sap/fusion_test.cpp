// The stages of SAP that weigh and re-rank pools, on pools that are made by hand.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "kernels/random.h"
#include "parallel/local_communicator.h"
#include "tests/unit/sap/pools_fixture.h"
#include "trainer/sap/calibration.h"
#include "trainer/sap/graph_rerank.h"
#include "trainer/sap/product_layer.h"

namespace swallowtail {
namespace {

using test::kItems;
using test::of_rank;
using test::of_two_methods;
using test::planted_pools;
using test::some_data;

TEST(SapGates, SearchBeatsEveryComponentAndDropsNoise) {
  const PooledRows rows = planted_pools(3);
  run_ranks(1, [&](Communicator& ranks) {
    Gates gates(3, 2);
    gates.shrink(std::vector<std::int64_t>{500, 500}, 1e6);
    gates.search(rows, 10, ranks);
    for (const std::int32_t stratum : {0, 1}) {
      const auto gate = gates.of(stratum);
      EXPECT_NEAR(std::accumulate(gate.begin(), gate.end(), 0.0), 1, 1e-12);
      EXPECT_LT(gate[2], 0.1) << "pure noise in stratum " << stratum;
      EXPECT_GT(gate[0], 0.2);
      EXPECT_GT(gate[1], 0.2);
    }
  });
}

TEST(SapGates, AStratumsOwnMethodBeatsTheCommonOneWhereStrataDiffer) {
  const Interactions data = some_data(400);
  const PooledRows learn = of_two_methods(1), fresh = of_two_methods(2);
  run_ranks(1, [&](Communicator& ranks) {
    const auto ndcg = [&](std::int64_t interactions, bool has_strata) {
      ProductLayer layer({"a", "b"}, has_strata ? 2 : 1, data, {}, 1);
      layer.gates.shrink(std::vector<std::int64_t>(has_strata ? 2 : 1, interactions), has_strata ? 20000 : 1e300);
      PooledRows rows = learn;
      if (!has_strata)
        for (PooledRow& row : rows.rows) row.stratum = 0;
      layer.gates.search(rows, 10, ranks);
      if (has_strata && interactions > 20000) {
        EXPECT_GT(layer.gates.of(0)[0], 0.9);
        EXPECT_GT(layer.gates.of(1)[1], 0.9);
      }
      return pooled_ndcg(
          fresh, [&](const PooledRow& row, std::span<float> out) { layer.score(row, out); }, 10, ranks);
    };
    const double common = ndcg(2000, false), own = ndcg(200000, true);
    EXPECT_GT(own, common + 0.05);
    EXPECT_NEAR(ndcg(0, true), common, 1e-12) << "without interactions of its own a stratum has the common weights";
    const double shrunk = ndcg(20000, true);  // half way
    EXPECT_GT(shrunk, common);
  });
}

TEST(SapGates, PermutedComponentsHavePermutedGates) {
  const PooledRows rows = planted_pools(3);
  PooledRows turned = rows;
  for (PooledRow& row : turned.rows)
    std::rotate(row.pool.scores.begin(), row.pool.scores.begin() + kItems, row.pool.scores.end());  // 1, 2, 0
  run_ranks(1, [&](Communicator& ranks) {
    Gates straight(3, 2), rotated(3, 2);
    straight.search(rows, 10, ranks);
    rotated.search(turned, 10, ranks);
    for (const std::int32_t stratum : {0, 1}) {
      const auto a = straight.of(stratum), b = rotated.of(stratum);
      EXPECT_NEAR(a[0], b[2], 1e-9);
      EXPECT_NEAR(a[1], b[0], 1e-9);
      EXPECT_NEAR(a[2], b[1], 1e-9);
    }
  });
}

TEST(SapGates, StrataWithoutInteractionsHaveTheCommonWeights) {
  const PooledRows rows = planted_pools(3, 200, 0.2);
  run_ranks(1, [&](Communicator& ranks) {
    Gates shrunk(3, 2);
    shrunk.shrink(std::vector<std::int64_t>{0, 1000}, 20000);
    shrunk.search(rows, 10, ranks);
    Gates common(3, 2);
    common.shrink(std::vector<std::int64_t>{0, 0}, 20000);
    common.search(rows, 10, ranks);
    EXPECT_EQ(shrunk.of(0), common.of(1));
  });
}

TEST(SapGates, NewUsersHaveTheirComponentsInOrder) {
  Gates gates(3, 2);
  gates.set_new(std::vector<std::size_t>{2, 0});
  for (const std::int32_t stratum : {kColdStratum, kNewStratum}) {
    const auto gate = gates.of(stratum);
    EXPECT_NEAR(gate[2] / gate[0], 10, 0.1);
    EXPECT_LT(gate[1], 1e-3);
  }
}

TEST(SapProduct, OneComponentKeepsItsOrderAtTheStart) {
  const Interactions data = some_data();
  PooledRows rows = planted_pools(1);
  ProductLayer layer({"a"}, 2, data, {}, 1);
  std::vector<float> scores(kItems);
  for (const PooledRow& row : rows.rows) {
    layer.score(row, scores);
    for (std::int64_t a = 0; a < kItems; ++a)
      for (std::int64_t b = 0; b < kItems; ++b)
        EXPECT_EQ(scores[a] < scores[b], row.pool.scores[a] < row.pool.scores[b]);
  }
}

TEST(SapProduct, LearnsTheSameOnAnyNumberOfRanksAndNeverLosesOnValidation) {
  const Interactions data = some_data();
  const PooledRows learn = planted_pools(3), judge = planted_pools(3);
  std::vector<std::vector<float>> trained;
  for (const int world : {1, 2, 4}) {
    std::vector<float> values;
    run_ranks(world, [&](Communicator& ranks) {
      ProductLayer layer({"a", "b", "c"}, 2, data,
                         {.steps = 6, .check_every = 2, .negatives = 4, .learning_rate = 0.01}, 1);
      const auto own = of_rank(learn, ranks), own_judge = of_rank(judge, ranks);
      layer.gates.shrink(std::vector<std::int64_t>{500, 500}, 20000);
      layer.gates.search(own, 10, ranks);
      const auto facts = layer.train(own, own_judge, 10, ranks);
      const auto looks = facts.at("validation").get<std::vector<double>>();
      EXPECT_GE(*std::ranges::max_element(looks), looks.front());
      if (ranks.rank() != 0) return;
      for (const RankerState& state : layer.state()) {
        const auto* const floats = reinterpret_cast<const float*>(state.bytes.data());
        values.insert(values.end(), floats, floats + state.bytes.size() / sizeof(float));
      }
    });
    trained.push_back(values);
  }
  EXPECT_EQ(trained[0], trained[1]);
  EXPECT_EQ(trained[0], trained[2]);
}

TEST(SapGraph, UntrainedChangesNothingAndTheSpectrumIsBounded) {
  const Interactions data = some_data();
  const GraphOptions options;
  const ItemGraph graph(data.train, kItems, {}, options);
  EXPECT_GT(graph.edges(), 0);
  // Power iteration: the largest magnitude of an eigenvalue of a symmetric matrix.
  std::vector<std::int64_t> items(kItems);
  std::iota(items.begin(), items.end(), std::int64_t{0});
  std::vector<float> x(kItems, 1.0F), y(kItems);
  double norm = 0;
  for (int i = 0; i < 200; ++i) {
    graph.propagate(items, x, y);
    norm = std::sqrt(std::inner_product(y.begin(), y.end(), y.begin(), 0.0));
    for (std::int64_t j = 0; j < kItems; ++j) x[j] = static_cast<float>(y[j] / norm);
  }
  EXPECT_LE(norm, 1 + 1e-5);
  GraphRerank rerank(options, kItems);
  rerank.use(graph);
  const PooledRows rows = planted_pools(1, 3);
  for (const PooledRow& row : rows.rows) {
    std::vector<float> scores(row.pool.scores.begin(), row.pool.scores.end());
    rerank.rerank(row, scores);
    EXPECT_TRUE(std::ranges::equal(scores, row.pool.scores));
  }
}

TEST(SapGraph, SubgraphIsTheDenseProduct) {
  const Interactions data = some_data();
  const ItemGraph graph(data.train, kItems, {}, {});
  std::vector<std::vector<float>> dense(kItems, std::vector<float>(kItems, 0.0F));
  for (std::int64_t item = 0; item < kItems; ++item)
    for (const auto& edge : graph.of(item)) dense[item][edge.to] = edge.weight;
  for (std::int64_t a = 0; a < kItems; ++a)
    for (std::int64_t b = 0; b < kItems; ++b) EXPECT_EQ(dense[a][b], dense[b][a]);
  const std::vector<std::int64_t> items{1, 3, 8, 9, 22, 39};
  const std::vector<float> in{1, -2, 0.5, 3, 1, 2};
  std::vector<float> out(items.size());
  graph.propagate(items, in, out);
  for (std::size_t i = 0; i < items.size(); ++i) {
    float sum = 0;
    for (std::size_t j = 0; j < items.size(); ++j) sum += dense[items[i]][items[j]] * in[j];
    EXPECT_NEAR(out[i], sum, 1e-6);
  }
}

TEST(SapCalibration, KeepsTheOrderAndMeetsTheBaseRate) {
  const PooledRows rows = planted_pools(1);
  run_ranks(1, [&](Communicator& ranks) {
    Calibration calibration;
    const auto facts = calibration.fit(
        rows, [](const PooledRow& row, std::span<float> out) { std::ranges::copy(row.pool.scores, out.begin()); },
        ranks);
    EXPECT_LT(calibration.chance(-1), calibration.chance(2));
    EXPECT_LT(facts.at("ece").get<double>(), 0.02);
    double sum = 0;
    for (const PooledRow& row : rows.rows)
      for (const float score : row.pool.scores) sum += calibration.chance(score);
    EXPECT_NEAR(sum / static_cast<double>(rows.all * kItems), 1.0 / kItems, 0.003);
  });
}

TEST(SapPool, TheCensusCountsWhatEachComponentFindsOnAnyNumberOfRanks) {
  PooledRows rows = planted_pools(2, 130);  // of which each finds the taken item of some users
  for (PooledRow& row : rows.rows) {
    row.wanted = 2;  // one more that no pool has
    row.pool.sources[row.relevant[0]] = row.user < 30 ? kFilled : row.user < 70 ? 1 : row.user < 120 ? 3 : 2;
  }
  for (const int world : {1, 2})
    run_ranks(world, [&](Communicator& ranks) {
      const PoolCensus census = census_of(of_rank(rows, ranks), 2, ranks);
      EXPECT_EQ(census.relevant, 260);
      EXPECT_EQ(census.found, 130);
      EXPECT_EQ(census.items, 130 * kItems);
      EXPECT_EQ(census.hits, (std::vector<std::int64_t>{90, 60}));
      EXPECT_EQ(census.sole_hits, (std::vector<std::int64_t>{40, 10}));
    });
}

TEST(SapPool, MeanInFixedPointIsTheSameInAnyDivision) {
  std::vector<double> values;
  for (std::uint64_t i = 0; i < 1000; ++i) values.push_back(random::uniform(random::bits(3, 4, i)));
  std::vector<double> means;
  for (const int world : {1, 3, 4})
    run_ranks(world, [&](Communicator& ranks) {
      const std::size_t first = values.size() * ranks.rank() / world, last = values.size() * (ranks.rank() + 1) / world;
      const double mean = exact_mean(std::span(values).subspan(first, last - first), 1000, ranks);
      if (ranks.rank() == 0) means.push_back(mean);
    });
  EXPECT_EQ(means[0], means[1]);
  EXPECT_EQ(means[0], means[2]);
}

}  // namespace
}  // namespace swallowtail
