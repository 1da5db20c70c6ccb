// What validation chooses for the heads of SAP: the components that are weighed, and how far strata are told apart.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "parallel/local_communicator.h"
#include "tests/unit/sap/pools_fixture.h"
#include "trainer/sap/product_layer.h"
#include "trainer/sap/weight_search.h"

namespace swallowtail {
namespace {

using test::kItems;
using test::of_rank;
using test::of_two_methods;
using test::planted_pools;
using test::some_data;

constexpr double kInfinite = std::numeric_limits<double>::infinity();
const ProductOptions kShort{.steps = 6, .check_every = 2, .negatives = 4, .learning_rate = 0.02};

std::vector<std::vector<float>> scores_of(const ProductLayer& layer, const PooledRows& rows) {
  std::vector<std::vector<float>> all;
  for (const PooledRow& row : rows.rows) layer.score(row, all.emplace_back(kItems));
  return all;
}

TEST(SapChoice, LeavesOutNoiseAndNothingThatHelpsOnAnyNumberOfRanks) {
  const PooledRows learn = planted_pools(3, 400, 1, 7), judge = planted_pools(3, 400, 1, 8);
  for (const int world : {1, 2, 4})
    run_ranks(world, [&](Communicator& ranks) {
      const PooledRows own = of_rank(learn, ranks), of_judge = of_rank(judge, ranks);
      const auto choice = choose_components(7, 0, [&](std::uint64_t components) {
        const auto weights = search_weights(own, 3, components, {}, 10, ranks);
        return pooled_ndcg(of_judge, weighted(weights), 10, ranks);
      });
      EXPECT_EQ(choice.kept, 3U);
      ASSERT_EQ(choice.dropped.size(), 1U);
      EXPECT_EQ(choice.dropped[0].component, 2U);
      EXPECT_GE(choice.dropped[0].ndcg, choice.ndcg_of_all);
    });
}

TEST(SapChoice, GoesOnWhileNothingIsLostAndNeverLeavesNone) {
  // What each of four components is worth; 1 is worth less than nothing, and 2 nothing beside 0.
  const auto worth = [](std::uint64_t mask) {
    return (mask & 1 ? 0.5 : 0.0) - (mask & 2 ? 0.0625 : 0.0) + (mask & 4 && !(mask & 1) ? 0.25 : 0.0) +
           (mask & 8 ? 0.125 : 0.0);
  };
  const auto choice = choose_components(15, 0, worth);
  EXPECT_EQ(choice.ndcg_of_all, 0.5625);
  EXPECT_EQ(choice.kept, 9U);
  ASSERT_EQ(choice.dropped.size(), 2U);
  EXPECT_EQ(choice.dropped[0].component, 1U);
  EXPECT_EQ(choice.dropped[0].ndcg, 0.625);
  EXPECT_EQ(choice.dropped[1].component, 2U);
  EXPECT_EQ(choose_components(15, 2, worth).kept, 11U) << "what is pinned stays";
  EXPECT_EQ(choose_components(7, 0, worth).kept, 1U) << "what is not there is not kept";
  EXPECT_EQ(choose_components(15, 0, [](std::uint64_t /*mask*/) { return 0.5; }).kept, 8U) << "the first of equals";
  EXPECT_EQ(choose_components(15, 0, [](std::uint64_t /*mask*/) { return 0.0; }).kept, 15U) << "nothing is known";
}

TEST(SapChoice, AComponentThatIsLeftOutLeavesNoTrace) {
  const Interactions data = some_data();
  const PooledRows all = planted_pools(3), two = planted_pools(2);
  run_ranks(1, [&](Communicator& ranks) {
    const std::vector<std::int64_t> interactions{500, 500};
    ProductLayer left({"a", "b", "c"}, 2, data, kShort, 1), never({"a", "b"}, 2, data, kShort, 1);
    left.gates.keep(3);
    left.gates.search(all, 10, ranks);
    never.gates.search(two, 10, ranks);
    left.train_by_prior(std::vector{500.0}, interactions, all, all, 10, ranks);
    never.train_by_prior(std::vector{500.0}, interactions, two, two, 10, ranks);
    EXPECT_EQ(left.gates.of(0)[2], 0);
    EXPECT_GT(left.gates.of(kColdStratum)[2], 0) << "cold users keep all";
    EXPECT_EQ(scores_of(left, all), scores_of(never, two));
  });
}

TEST(SapChoice, WithAnInfinitePriorStrataLeaveNoTrace) {
  const Interactions data = some_data();
  const PooledRows strata = planted_pools(2);
  PooledRows one = strata;
  for (PooledRow& row : one.rows) row.stratum = 0;
  run_ranks(1, [&](Communicator& ranks) {
    ProductLayer many({"a", "b"}, 2, data, kShort, 1), single({"a", "b"}, 1, data, kShort, 1);
    many.gates.search(strata, 10, ranks);
    single.gates.search(one, 10, ranks);
    const auto facts =
        many.train_by_prior(std::vector{kInfinite}, std::vector<std::int64_t>{500, 500}, strata, strata, 10, ranks);
    single.train_by_prior(std::vector{kInfinite}, std::vector<std::int64_t>{1000}, one, one, 10, ranks);
    EXPECT_GT(facts.at("kept_step").get<int>(), 0) << "the products take part";
    EXPECT_EQ(scores_of(many, strata), scores_of(single, one));
  });
}

TEST(SapChoice, StrataAreToldApartWhereThatHelpsOnValidation) {
  const Interactions data = some_data(400);
  const PooledRows learn = of_two_methods(1);
  PooledRows judge = of_two_methods(2), turned = judge;
  for (PooledRow& row : turned.rows) row.stratum = 1 - row.stratum;  // what learn says of a stratum misleads
  const std::vector<std::int64_t> interactions{3000, 5000};
  const std::vector<double> priors = prior_choices(interactions);
  EXPECT_EQ(priors, (std::vector{kInfinite, 16000.0, 4000.0, 1000.0}));
  EXPECT_EQ(prior_choices(std::vector<std::int64_t>{3000, 0}), std::vector{kInfinite});
  run_ranks(1, [&](Communicator& ranks) {
    ProductLayer layer({"a", "b"}, 2, data, kShort, 1), misled({"a", "b"}, 2, data, {.steps = 0}, 1);
    layer.gates.search(learn, 10, ranks);
    const auto facts = layer.train_by_prior(priors, interactions, learn, judge, 10, ranks);
    EXPECT_EQ(facts.at("priors").size(), 4U);
    for (const auto& tried : facts.at("priors")) EXPECT_LE(tried.at("validation"), facts.at("reached"));
    EXPECT_TRUE(facts.at("prior").is_number()) << facts;
    EXPECT_GT(layer.gates.of(0)[0], 0.7);
    EXPECT_GT(layer.gates.of(1)[1], 0.7);
    EXPECT_NEAR(pooled_ndcg(
                    judge, [&](const PooledRow& row, std::span<float> out) { layer.score(row, out); }, 10, ranks),
                facts.at("reached").get<double>(), 1e-12)
        << "the best of them is what is left";

    misled.gates.search(learn, 10, ranks);
    EXPECT_TRUE(misled.train_by_prior(priors, interactions, learn, turned, 10, ranks).at("prior").is_null());
    EXPECT_EQ(misled.gates.of(0), misled.gates.of(1));
  });
}

/// Ranks items by rising number, or by falling.
class Straight final : public Ranker {
 public:
  explicit Straight(float sign) : sign_(sign) {}
  void score(std::span<const RankingQuery> queries, std::span<float> scores) override {
    const std::size_t items = scores.size() / queries.size();
    for (std::size_t i = 0; i < scores.size(); ++i) scores[i] = sign_ * static_cast<float>(i % items);
  }
  bool knows(const RankingQuery& /*query*/) const override { return true; }
  std::int64_t parameters() const override { return 0; }

 private:
  float sign_;
};

TEST(SapChoice, AComponentThatDoesNotServeAUserNeitherProposesNorScores) {
  const std::vector<SapComponent> components{{"low", "x", std::make_shared<Straight>(-1.0F)},
                                             {"high", "x", std::make_shared<Straight>(1.0F)}};
  const IdList users(std::vector<std::string>{"u"});
  std::vector<std::vector<std::int64_t>> popular(1, std::vector<std::int64_t>(kItems));
  std::iota(popular[0].begin(), popular[0].end(), std::int64_t{0});
  const Pooler pooler(components, users, kItems, {.per_component = 3, .limit = 10, .at_least = 1}, ~std::uint64_t{0},
                      popular);
  PoolAsk ask{{0, {}}, 0, 0, {}};
  EXPECT_EQ(pooler.block(std::span(&ask, 1))[0].pool.size(), 6);
  ask.components = 2;
  const PooledRow row = pooler.block(std::span(&ask, 1))[0];
  EXPECT_EQ(row.pool.items, (std::vector<std::int64_t>{kItems - 3, kItems - 2, kItems - 1}));
  EXPECT_EQ(row.known, 2U);
  EXPECT_TRUE(std::all_of(row.pool.scores.begin(), row.pool.scores.begin() + 3, [](float z) { return z == 0; }));
  EXPECT_GT(row.pool.scores[5], 0);
}

}  // namespace
}  // namespace swallowtail
