// The cost model: simulated times, corrected by measured ones; and the start-up measurement, on virtual ranks whose
// network is known.
#include "parallel/all_to_all/cost_model.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>
#include <set>

#include "parallel/all_to_all/all_to_all.h"
#include "parallel/all_to_all/measure_costs.h"
#include "parallel/error.h"
#include "parallel/local_communicator.h"
#include "parallel/simulated/exchange_time.h"
#include "parallel/simulated/simulated_communicator.h"

namespace swallowtail {
namespace {

/// 100 Mbit/s and 1 ms between nodes.
NetworkDescription slow_network() {
  NetworkDescription network{.name = "slow"};
  network.node = {2e-6, 1e-6, 2e9};
  network.rail = {1e-3, 3e-5, 12.5e6};
  network.ranks_per_node = 2;
  return network;
}

NetworkDescription fast_network() {
  NetworkDescription network{.name = "fast"};
  network.node = {2e-6, 5e-7, 1e10};
  network.rail = {2e-6, 5e-7, 1e10};
  network.ranks_per_node = 8;
  return network;
}

TEST(CostModel, IsTheSimulationWithoutMeasurements) {
  const auto node_of = full_nodes(8, 2);
  const CostModel model(slow_network(), node_of);
  for (const auto& entry : all_to_all_algorithms()) {
    const ExchangeTime exact(entry.modelled_as, node_of);
    for (const std::int64_t bytes : {1, 16, 1000, 65536, 3000000, 200000000})
      EXPECT_NEAR(model.predict(entry.name, bytes), exact.seconds(slow_network(), bytes),
                  0.02 * exact.seconds(slow_network(), bytes))
          << entry.name << ", " << bytes;
    EXPECT_EQ(model.predict(entry.name, 1000), model.simulate(entry.name, 1000));
  }
  EXPECT_THROW(model.predict("buterfly", 16), Error);
}

TEST(CostModel, MeasurementsCorrectItAndTheRatioIsInterpolated) {
  CostModel model(slow_network(), full_nodes(8, 2));
  const auto simulated = [&](std::int64_t bytes) { return model.simulate("direct", bytes); };
  model.add_measurement("direct", 16, 4 * simulated(16));
  model.add_measurement("direct", 4096, simulated(4096));
  EXPECT_NEAR(model.predict("direct", 16), 4 * simulated(16), 1e-12);
  EXPECT_NEAR(model.predict("direct", 1), 4 * simulated(1), 1e-12);
  EXPECT_NEAR(model.predict("direct", 256), 2 * simulated(256), 1e-12);  // half way in the logarithm
  EXPECT_NEAR(model.predict("direct", 4096), simulated(4096), 1e-12);
  EXPECT_NEAR(model.predict("direct", 1 << 20), simulated(1 << 20), 1e-12);
  EXPECT_EQ(model.predict("pairwise", 256), model.simulate("pairwise", 256));
  model.add_measurement("direct", 16, simulated(16));  // the later one counts
  EXPECT_NEAR(model.predict("direct", 16), simulated(16), 1e-12);
}

TEST(CostModel, TakesUnequalMachinesAndOneRank) {
  const CostModel one(fast_network(), std::vector<int>{0});
  EXPECT_EQ(one.predict("butterfly", 1000), 0);
  std::vector<int> unequal = full_nodes(100, 8);  // the last machine has four
  const CostModel many(fast_network(), unequal);
  EXPECT_NEAR(many.predict("direct", 1000), CostModel(fast_network(), full_nodes(104, 8)).predict("direct", 1000),
              1e-12);
  const CostModel few(slow_network(), std::vector<int>{0, 0, 0, 1, 1});
  EXPECT_GT(few.predict("pairwise", 16), 2e-3);
}

TEST(AllToAllChoices, AreTheFastestOfTheModelAndTheLibraryWinsTies) {
  CostModel model(slow_network(), full_nodes(8, 2));
  const auto choices = all_to_all_choices(model);
  EXPECT_EQ(choices.front().from_bytes, 0);
  EXPECT_TRUE(std::ranges::is_sorted(choices, {}, &AllToAllChoice::from_bytes));
  for (const std::int64_t bytes : {1, 16, 100, 5000, 70000, 1000000, 50000000}) {
    const auto above = std::ranges::upper_bound(choices, bytes, {}, &AllToAllChoice::from_bytes);
    const double taken = model.predict(std::prev(above)->algorithm, bytes);
    for (const auto& entry : all_to_all_algorithms())
      EXPECT_LE(taken, 1.1 * model.predict(entry.name, bytes)) << entry.name << ", " << bytes;
  }
  CostModel equal(fast_network(), full_nodes(4, 8));
  for (const auto& entry : all_to_all_algorithms())
    for (std::int64_t bytes = 1; bytes <= 64 << 20; bytes *= 2) equal.add_measurement(entry.name, bytes, 1e-3);
  const auto tied = all_to_all_choices(equal);
  ASSERT_EQ(tied.size(), 1U);
  EXPECT_EQ(tied[0].algorithm, "library");
  EXPECT_EQ(describe(tied), "library");
  const std::vector<AllToAllChoice> two{{0, "hierarchical", 1e-6}, {2048, "library", 1e-5}};
  EXPECT_EQ(describe(two), "hierarchical below 2 KiB, library above");
}

TEST(AllToAllChoices, ButterflyWinsForManyRanksAndSmallChunksOnly) {
  NetworkDescription flat{.name = "flat"};
  flat.node = flat.rail = {1e-6, 1e-6, 1e10};
  const auto choices = all_to_all_choices(CostModel(flat, full_nodes(256, 1)));
  EXPECT_EQ(choices.front().algorithm, "butterfly");
  EXPECT_NE(choices.back().algorithm, "butterfly");
  EXPECT_NE(all_to_all_choices(CostModel(flat, full_nodes(4, 1))).back().algorithm, "butterfly");
}

/// What all virtual ranks measured, and the virtual time that it took.
std::pair<std::shared_ptr<const CostModel>, double> measure(const NetworkDescription& network, int world_size,
                                                            double budget_s = 0.8) {
  std::vector<std::shared_ptr<const CostModel>> models(static_cast<std::size_t>(world_size));
  const double seconds = run_simulated(world_size,
                                       [&](SimulatedCommunicator& ranks) {
                                         models[static_cast<std::size_t>(ranks.rank())] =
                                             measure_costs(ranks, budget_s, [&] { return ranks.now_s(); });
                                       },
                                       {.network = network});
  for (const auto& model : models) {
    EXPECT_EQ(model->network(), models[0]->network());
    for (const auto& entry : all_to_all_algorithms())
      for (const std::int64_t bytes : {16, 3000, 1 << 20})
        EXPECT_EQ(model->predict(entry.name, bytes), models[0]->predict(entry.name, bytes)) << entry.name;
  }
  return {models[0], seconds};
}

TEST(MeasuredCosts, FindTheConstantsOfASlowNetworkInUnderASecond) {
  const auto network = slow_network();
  const auto [model, seconds] = measure(network, 8);
  EXPECT_LT(seconds, 1.0);
  const auto& found = model->network();
  EXPECT_NEAR(found.rail.latency_s, network.rail.latency_s, 0.3 * network.rail.latency_s);
  EXPECT_NEAR(found.rail.message_overhead_s, network.rail.message_overhead_s, 0.3 * network.rail.message_overhead_s);
  EXPECT_NEAR(found.rail.bandwidth_bytes_per_s, network.rail.bandwidth_bytes_per_s,
              0.15 * network.rail.bandwidth_bytes_per_s);
  EXPECT_NEAR(found.node.bandwidth_bytes_per_s, network.node.bandwidth_bytes_per_s,
              0.1 * network.node.bandwidth_bytes_per_s);
}

/// Of every algorithm at every size, those that were measured and those beyond.
void expect_good_predictions(const NetworkDescription& network, int world_size, double budget_s) {
  const auto model = measure(network, world_size, budget_s).first;
  const auto node_of = full_nodes(world_size, network.ranks_per_node);
  const auto choices = all_to_all_choices(*model);
  for (std::int64_t bytes = 16; bytes <= 4 << 20; bytes *= 4) {
    double best = 1e9, taken = 0;
    const auto above = std::ranges::upper_bound(choices, bytes, {}, &AllToAllChoice::from_bytes);
    for (const auto& entry : all_to_all_algorithms()) {
      const double exact = ExchangeTime(entry.modelled_as, node_of).seconds(network, bytes);
      EXPECT_NEAR(model->predict(entry.name, bytes), exact, 0.3 * exact)
          << entry.name << ", " << bytes << " bytes, " << world_size << " ranks, " << network.name;
      best = std::min(best, exact);
      if (entry.name == std::prev(above)->algorithm) taken = exact;
    }
    EXPECT_LE(taken, 1.15 * best) << bytes << " bytes, " << world_size << " ranks, " << network.name;
  }
}

TEST(MeasuredCosts, PredictEveryAlgorithmAndAutoIsNearTheBest) {
  expect_good_predictions(slow_network(), 8, 0.8);
  for (const int world_size : {2, 3, 4, 8}) expect_good_predictions(fast_network(), world_size, 0.01);
}

TEST(MeasuredCosts, AreTheSameOnAllRanksOfThisMachine) {
  std::mutex mutex;
  std::set<double> predictions;
  run_ranks(3, [&](Communicator& ranks) {
    const auto model = measure_costs(ranks, 0.05);
    const std::lock_guard lock(mutex);
    for (const auto& entry : all_to_all_algorithms())
      if (entry.name == "pairwise") predictions.insert(model->predict(entry.name, 1000));
  });
  EXPECT_EQ(predictions.size(), 1U);
  EXPECT_GT(*predictions.begin(), 0);
}

}  // namespace
}  // namespace swallowtail
