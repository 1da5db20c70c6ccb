// The weight averages of a run against the plain definition: every weight, every step. Rows that no batch touches are
// the ones that the lazy average of the tables must get right.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "kernels/weight_average.h"
#include "parallel/local_communicator.h"
#include "trainer/data/synthetic.h"
#include "trainer/training/scorer.h"
#include "trainer/training/step.h"

namespace swallowtail {
namespace {

void follow(std::vector<double>& average, std::span<const float> weights, double decay) {
  for (std::size_t i = 0; i < weights.size(); ++i) average[i] = decay * average[i] + (1 - decay) * weights[i];
}

void expect_equal(std::span<const float> got, const std::vector<double>& wanted, const char* what) {
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], wanted[i], 2e-6 * (1 + std::abs(wanted[i]))) << what << " " << i;
}

TEST(WeightAverage, IsTheAverageOfEveryStepForRestingRowsToo) {
  const Experiment experiment = Experiment::parse(
      "data: {source: synthetic, samples: 120, dense_features: 2, id_distribution: zipf, tables: [{rows: 40}]}\n"
      "model: {embedding_dim: 4, bottom_mlp: [8], top_mlp: [8]}\n"
      "embedding: {optimizer: sgd, learning_rate: 2.0}\n"
      "train: {optimizer: adam, learning_rate: 0.05, average_decay: 0.7}\n");
  run_ranks(1, [&](Communicator& ranks) {
    Data data;
    data.train = make_synthetic(experiment, 1, "train");
    Session session(experiment, std::move(data), ranks);
    TableShard& shard = session.embedding.shards()[0];
    const TableVector<float> first = shard.weights;
    std::vector<double> dense(session.dense.weights().begin(), session.dense.weights().end());
    std::vector<double> table(shard.weights.begin(), shard.weights.end());
    const Averaging averaging(0.7);
    PhaseClock clock;
    Batch batch;
    for (std::int64_t step = 1; step <= 30; ++step) {
      std::vector<std::int64_t> samples(4);
      std::iota(samples.begin(), samples.end(), (step - 1) * 4);
      session.data.train->read(samples, batch);
      train_step(session, {batch, 4, step, 1.0}, clock);
      follow(dense, session.dense.weights(), averaging.decay(step));
      follow(table, shard.weights, averaging.decay(step));
      if (step % 12 != 0) continue;  // in between too, as an evaluation would
      session.embedding.settle(step);
      expect_equal(shard.average, table, "table");
      expect_equal(session.dense.average(), dense, "dense");
    }
    const std::vector<float> raw(session.dense.weights().begin(), session.dense.weights().end());
    score(session, *session.data.train, 30,
          /*averaged=*/true);  // brings resting rows up to date, and leaves the raw weights
    EXPECT_EQ(raw, std::vector<float>(session.dense.weights().begin(), session.dense.weights().end()));
    expect_equal(shard.average, table, "table");
    expect_equal(session.dense.average(), dense, "dense");
    EXPECT_NE(shard.weights, first);
    EXPECT_NE(shard.average, shard.weights);
  });
}

}  // namespace
}  // namespace swallowtail
