// In deterministic mode a run's losses, weights and scores have the same bits on any number of ranks, and in fast mode
// they differ by rounding alone.
#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "parallel/local_communicator.h"
#include "trainer/data/synthetic.h"
#include "trainer/training/scorer.h"
#include "trainer/training/step.h"

namespace swallowtail {
namespace {

struct Outcome {
  std::vector<double> losses;
  std::vector<float> dense, dense_average;
  std::map<std::int64_t, std::vector<float>> tables, averages;  // gathered over ranks
  std::vector<double> scores;
};

Experiment experiment_of(const std::vector<std::string>& extra) {
  return Experiment::parse(
      "data:\n"
      "  source: synthetic\n"
      "  labels: planted\n"
      "  dense_features: 3\n"
      "  samples: 1000\n"
      "  test_samples: 157\n"
      "  id_distribution: zipf\n"
      "  tables: [{rows: 50, pooling_factor: 3, fixed: false}, {rows: 7}, {rows: 1000}]\n"
      "model: {embedding_dim: 8, bottom_mlp: [16], top_mlp: [16, 8], dropout: 0.25, linear: true}\n"
      "embedding: {optimizer: rowwise_adagrad, learning_rate: 0.05}\n"
      "train: {batch_size: 133, optimizer: adam, learning_rate: 0.01, chunk: 16, average_decay: 0.9, threads: 1}\n",
      extra);
}

Outcome train_steps(const std::vector<std::string>& extra, int world_size) {
  Outcome outcome;
  std::mutex mutex;
  run_ranks(world_size, [&](Communicator& ranks) {
    const Experiment experiment = experiment_of(extra);
    Data data;
    data.train = make_synthetic(experiment, 1, "train");
    data.test = make_synthetic(experiment, 1, "test");
    Session session(experiment, std::move(data), ranks);
    PhaseClock clock;
    Batch batch;
    std::int64_t step = 0;
    for (std::int64_t start = 0; start < 1000; start += 133) {  // the last batch has 69 samples
      const std::int64_t size = std::min<std::int64_t>(133, 1000 - start);
      const auto [begin, end] = session.share.rank_samples(size, ranks.rank());
      std::vector<std::int64_t> samples(end - begin);
      std::iota(samples.begin(), samples.end(), start + begin);
      session.data.train->read(samples, batch);
      const double loss = train_step(session, {batch, size, ++step, 1.0}, clock).loss;
      if (ranks.rank() == 0) outcome.losses.push_back(loss);
    }
    const Scores scores = score(session, *session.data.test, step, true);
    const std::scoped_lock lock(mutex);
    for (const TableShard& shard : session.embedding.shards()) {
      const EmbeddingTable& table = session.tables[static_cast<std::size_t>(shard.table)];
      const auto place = [&](std::vector<float>& whole, const TableVector<float>& part) {
        whole.resize(static_cast<std::size_t>(table.rows * table.dim));
        for (std::int64_t i = 0; i < shard.shard.rows; ++i)
          std::copy_n(part.data() + i * shard.shard.cols, shard.shard.cols,
                      whole.data() + shard.row_at(i) * table.dim + shard.shard.first_col);
      };
      place(outcome.tables[shard.table], shard.weights);
      place(outcome.averages[shard.table], shard.average);
    }
    if (ranks.rank() != 0) return;
    outcome.scores = scores.probabilities;
    outcome.dense.assign(session.dense.weights().begin(), session.dense.weights().end());
    outcome.dense_average.assign(session.dense.average().begin(), session.dense.average().end());
  });
  return outcome;
}

TEST(AnyWorldSize, DeterministicRunsHaveTheSameBits) {
  const Outcome one = train_steps({"train.deterministic=true"}, 1);
  ASSERT_EQ(one.losses.size(), 8U);
  ASSERT_EQ(one.scores.size(), 157U);
  for (const int world_size : {2, 3, 4, 8}) {
    const Outcome many = train_steps({"train.deterministic=true"}, world_size);
    EXPECT_EQ(many.losses, one.losses) << world_size;
    EXPECT_EQ(many.dense, one.dense) << world_size;
    EXPECT_EQ(many.dense_average, one.dense_average) << world_size;
    EXPECT_EQ(many.tables, one.tables) << world_size;
    EXPECT_EQ(many.averages, one.averages) << world_size;
    EXPECT_EQ(many.scores, one.scores) << world_size;
  }
}

TEST(AnyWorldSize, NoShardingChangesABitOfADeterministicRun) {
  const Outcome one = train_steps({"train.deterministic=true"}, 1);
  for (const char* sharding : {"row_wise", "column_wise", "table_row_wise", "data_parallel"})
    for (const int world_size : {2, 3, 8}) {
      const Outcome many =
          train_steps({"train.deterministic=true", std::string("embedding.sharding=") + sharding}, world_size);
      EXPECT_EQ(many.losses, one.losses) << sharding << " on " << world_size;
      EXPECT_EQ(many.dense, one.dense) << sharding << " on " << world_size;
      EXPECT_EQ(many.tables, one.tables) << sharding << " on " << world_size;
      EXPECT_EQ(many.averages, one.averages) << sharding << " on " << world_size;
      EXPECT_EQ(many.scores, one.scores) << sharding << " on " << world_size;
    }
}

TEST(AnyWorldSize, ThreadsAndOverlapChangeNoBit) {
  const Outcome one = train_steps({"train.deterministic=true"}, 2);
  for (const char* other : {"train.threads=2", "train.threads=3", "parallel.overlap=false"}) {
    const Outcome many = train_steps({"train.deterministic=true", other}, 2);
    EXPECT_EQ(many.losses, one.losses) << other;
    EXPECT_EQ(many.dense, one.dense) << other;
    EXPECT_EQ(many.tables, one.tables) << other;
  }
}

TEST(AnyWorldSize, FastRunsDifferByRounding) {
  const Outcome one = train_steps({"train.deterministic=false"}, 1);
  for (const int world_size : {2, 5}) {
    const Outcome many = train_steps({"train.deterministic=false"}, world_size);
    for (std::size_t i = 0; i < one.losses.size(); ++i) EXPECT_NEAR(many.losses[i], one.losses[i], 1e-5);
    for (std::size_t i = 0; i < one.scores.size(); ++i) EXPECT_NEAR(many.scores[i], one.scores[i], 1e-3);
  }
}

TEST(AnyWorldSize, TheExchangeAlgorithmChangesNothing) {
  const Outcome library = train_steps({"parallel.all_to_all=library"}, 3);
  const Outcome pairwise = train_steps({"parallel.all_to_all=pairwise"}, 3);
  EXPECT_EQ(library.losses, pairwise.losses);
  EXPECT_EQ(library.tables, pairwise.tables);
}

TEST(AnyWorldSize, TheChunkDecidesTheBitsNotTheRanks) {
  // The law above is empty if chunks did not matter: another chunk size gives other rounding.
  const Outcome a = train_steps({"train.deterministic=true"}, 2);
  const Experiment experiment = experiment_of({"train.deterministic=true"});
  EXPECT_EQ(experiment.integer("train.chunk"), 16);
  EXPECT_NE(a.losses, train_steps({"train.deterministic=false"}, 2).losses);
}

}  // namespace
}  // namespace swallowtail
