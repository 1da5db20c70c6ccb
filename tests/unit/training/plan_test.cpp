// Plans on paper: the MLPerf tables on clusters, the step model against published results, and what is refused.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>

#include "trainer/config/cluster_file.h"
#include "trainer/data/synthetic.h"
#include "trainer/models/model.h"
#include "trainer/planning/cluster_plan.h"
#include "trainer/planning/dense_work.h"
#include "trainer/planning/published.h"

namespace swallowtail {
namespace {

Experiment published_with(std::int64_t batch_size) {
  return Experiment::parse(published_experiment(), {fmt::format("train.batch_size={}", batch_size)}, "published");
}

ClusterPlan plan_of(const Experiment& experiment, const Cluster& cluster, int world_size) {
  const DataShape shape = make_synthetic(experiment, 0, "train")->shape();
  const auto tables = find_model(experiment).embedding_tables(experiment, shape);
  return plan_on_cluster({experiment, shape, tables, world_size}, cluster);
}

Experiment small(const std::string& more = "{}") {
  return Experiment::parse(
      "data: {source: synthetic, samples: 4096, tables: [{rows: 50000, dim: 16, pooling_factor: 4}, {rows: 90000, dim: "
      "16}, {rows: 30, dim: 16}]}\nmodel: {embedding_dim: 16}\ntrain: {batch_size: 512}\n",
      {more == "{}" ? "seed=1" : more}, "small");
}

class Mlperf : public ::testing::TestWithParam<std::pair<int, std::int64_t>> {};

TEST_P(Mlperf, IsAsEvenAsTheBoundAllows) {
  const auto [world_size, batch_size] = GetParam();
  const ClusterPlan plan = plan_of(published_with(batch_size), load_cluster("h100"), world_size);
  const double least = std::max(plan.planned.mean_seconds(), plan.planned.bound.seconds);
  EXPECT_LE(plan.planned.max_seconds(), 1.05 * least);
  EXPECT_GE(plan.planned.max_seconds(), plan.planned.bound.seconds);
  EXPECT_GE(plan.step.step_s, plan.lower_bound_s);
  EXPECT_GE(plan.headroom_bytes(), 0);
}
INSTANTIATE_TEST_SUITE_P(H100, Mlperf,
                         ::testing::Values(std::pair{8, 55296}, std::pair{64, 135168}, std::pair{128, 135168},
                                           std::pair{1024, 135168}),
                         [](const auto& of) { return fmt::format("{}ranks", of.param.first); });

TEST(PublishedResults, ArePredictedFromOneOfThem) {
  const auto predict = [](const Cluster& cluster, int world_size, double batch) {
    return PredictedStep{plan_of(published_with(static_cast<std::int64_t>(batch)), cluster, world_size).step.step_s, 1};
  };
  const PublishedValidation validation = validate_published(predict);
  int fitted = 0;
  for (const PublishedComparison& of : validation.comparisons) {
    fitted += of.is_fitted;
    EXPECT_LE(std::abs(of.error()), of.is_fitted ? 1e-6 : 0.25) << of.result.name;
  }
  EXPECT_EQ(fitted, 1);
  EXPECT_EQ(validation.comparisons.size(), 12u);
}

TEST(ClusterPlanTest, RefusesWithTheMissingBytes) {
  try {
    plan_of(published_with(55296), load_cluster("h100"), 1);
    FAIL() << "the tables fitted into one rank";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::resources);
    EXPECT_NE(std::string(error.what()).find(" bytes ("), std::string::npos) << error.what();
  }
  EXPECT_THROW(plan_of(small("train.batch_size=4"), load_cluster("cpu"), 8), Error);
}

TEST(ClusterPlanTest, PhasesAddUpToTheStep) {
  for (const int world_size : {1, 2, 7, 16}) {
    const ClusterPlan plan = plan_of(small(), load_cluster("cpu"), world_size);
    EXPECT_NEAR(plan.step.step_s, plan.step.critical.sum() + plan.step.waiting_s - plan.step.hidden_s, 1e-12);
    ASSERT_EQ(plan.step.ranks.size(), static_cast<std::size_t>(world_size));
    for (const StepPhases& rank : plan.step.ranks) EXPECT_LE(rank.sum(), plan.step.critical.sum());
    if (world_size == 1) {
      EXPECT_EQ(plan.step.critical.all_reduce, 0);
    }
  }
}

TEST(ClusterPlanTest, ABetterClusterIsNeverSlower) {
  const Experiment experiment = small();
  const Cluster cluster = load_cluster("cpu");
  const double before = plan_of(experiment, cluster, 8).step.step_s;
  const auto improved = [&](auto change) {
    Cluster better = cluster;
    change(better);
    return plan_of(experiment, better, 8).step.step_s;
  };
  EXPECT_LT(improved([](Cluster& of) { of.network.rail.bandwidth_bytes_per_s *= 4; }), before);
  EXPECT_LT(improved([](Cluster& of) { of.fp32_flops *= 4; }), before);
  EXPECT_LT(improved([](Cluster& of) { of.gather_bytes_per_s *= 4; }), before);
  EXPECT_LT(improved([](Cluster& of) { of.kernel_overhead_s /= 4; }), before);
}

TEST(ClusterPlanTest, SaysWhatTheDesignPromises) {
  const ClusterPlan plan = plan_of(small(), load_cluster("h100"), 4);
  const auto json = to_json(plan);
  for (const char* key : {"world_size", "cluster", "fits", "step_seconds", "samples_per_s", "lower_bound_seconds",
                          "imbalance", "phases", "ranks", "tables"})
    EXPECT_TRUE(json.contains(key)) << key;
  EXPECT_EQ(json["ranks"].size(), 4u);
  EXPECT_EQ(json["tables"].size(), 3u);
  for (const auto& table : json["tables"]) EXPECT_TRUE(table.contains("sharding") && table.contains("ranks"));
  const std::string svg = load_svg(plan);
  std::size_t bars = 0;  // the background, five of the legend, five phases a rank
  for (auto at = svg.find("<rect"); at != std::string::npos; at = svg.find("<rect", at + 1)) ++bars;
  EXPECT_EQ(bars, 1u + 5 + 5 * 4);
}

TEST(ClusterPlanTest, ReadsEveryBuiltInCluster) {
  for (const char* name : {"h100", "h200", "a100", "gb200", "cpu"})
    EXPECT_GT(plan_of(small(), load_cluster(name), 2).samples_per_s(), 0) << name;
  EXPECT_THROW(load_cluster("h1000"), Error);
}

TEST(DenseWork, CountsTheParametersAndProductsOfTheModel) {
  for (const char* interaction : {"dot", "cat", "cross", "cross, cross_layers: 1, cross_rank: 7"})
    for (const int dense : {0, 5}) {
      const Experiment experiment = Experiment::parse(
          fmt::format(
              "data: {{source: synthetic, samples: 10, dense_features: {}, tables: [{{rows: 50, dim: 12}}, {{rows: "
              "30, dim: 8}}, {{rows: 9, dim: 8}}]}}\nmodel: {{embedding_dim: 8, bottom_mlp: [20], top_mlp: [11], "
              "linear: true, interaction: {}}}\n",
              dense, interaction),
          {}, "work");
      SCOPED_TRACE(fmt::format("{}, {} dense features", interaction, dense));
      const DataShape shape = make_synthetic(experiment, 0, "train")->shape();
      const ModelEntry& entry = find_model(experiment);
      const auto tables = entry.embedding_tables(experiment, shape);
      const auto model = entry.make(experiment, shape, tables);
      std::int64_t parameters = 0;
      double products = 0;
      for (const auto& parameter : model->named_parameters()) {
        parameters += parameter.value().numel();
        if (!parameter.key().ends_with(".weight")) continue;
        const bool is_first = parameter.key() == "bottom_mlp.0.weight";  // passes no gradient on
        products += 2.0 * static_cast<double>(parameter.value().numel()) * (is_first ? 2 : 3);
      }
      const DenseWork work = dense_work(experiment, shape, tables);
      EXPECT_EQ(work.parameters, parameters);
      EXPECT_EQ(work.flop() - 3 * work.interaction_flop, products);
    }
}

}  // namespace
}  // namespace swallowtail
