// What the tests of whole steps share: a small planted data set, two epochs of training on the CPU or on emulated
// devices, and the comparison of all that a training leaves.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <mutex>
#include <numeric>
#include <string>
#include <vector>

#include "parallel/local_communicator.h"
#include "trainer/data/synthetic.h"
#include "trainer/training/device_run.h"
#include "trainer/training/scorer.h"
#include "trainer/training/session.h"

namespace swallowtail::testing {

/// Five batches an epoch, the last of 22 samples.
inline Experiment small_experiment(const std::vector<std::string>& extra) {
  return Experiment::parse(
      "data:\n"
      "  source: synthetic\n"
      "  labels: planted\n"
      "  dense_features: 3\n"
      "  samples: 150\n"
      "  test_samples: 40\n"
      "  id_distribution: zipf\n"
      "  tables: [{rows: 30, pooling_factor: 2, fixed: false}, {rows: 7}, {rows: 200}]\n"
      "model: {embedding_dim: 16, bottom_mlp: [24], top_mlp: [20, 12]}\n"
      "embedding: {optimizer: rowwise_adagrad, learning_rate: 0.05}\n"
      "train: {batch_size: 32, optimizer: adagrad, learning_rate: 0.01, threads: 1}\n",
      extra);
}

using Arrays = std::map<std::string, std::vector<float>>;

struct Outcome {
  std::vector<double> losses;
  Arrays arrays;  // of all ranks' shards, and the dense ones
  std::vector<double> scores, averaged_scores;
  std::int64_t replayed = 0, bytes_sent = 0;
  std::string device, note;
  std::vector<RowCacheUse> caches;
};

/// `weighted`: every id gets a weight of its own.
inline void read_part(Session& session, std::int64_t start, std::int64_t size, Batch& batch, bool weighted = false) {
  const auto [begin, end] = session.share.rank_samples(size, session.ranks.rank());
  std::vector<std::int64_t> samples(static_cast<std::size_t>(end - begin));
  std::iota(samples.begin(), samples.end(), start + begin);
  session.data.train->read(samples, batch);
  if (!weighted) return;
  for (JaggedIds& ids : batch.ids) {
    ids.weights.clear();
    for (std::size_t b = 0; b < samples.size(); ++b)
      for (std::int64_t i = 0; i < ids.offsets[b + 1] - ids.offsets[b]; ++i)
        ids.weights.push_back(0.25F * static_cast<float>(1 + (7 * samples[b] + 3 * i) % 5));
  }
}

inline Data small_data(const Experiment& experiment) {
  Data data;
  data.train = make_synthetic(experiment, 1, "train");
  data.test = make_synthetic(experiment, 1, "test");
  return data;
}

/// An array of some rank; what several ranks have must have the same bits.
inline void keep(Arrays& arrays, const std::string& name, std::span<const float> values) {
  const auto [found, is_new] = arrays.try_emplace(name, values.begin(), values.end());
  if (!is_new) {
    EXPECT_TRUE(std::ranges::equal(found->second, values)) << name << " differs from rank to rank";
  }
}

inline void keep_all(Arrays& arrays, Session& session) {
  for (const TableShard& of : session.embedding.shards()) {
    const std::string where = fmt::format("{} {}+{}, {}+{}", session.tables[static_cast<std::size_t>(of.table)].name,
                                          of.shard.first_row, of.shard.rows, of.shard.first_col, of.shard.cols);
    keep(arrays, where + " rows", of.weights);
    keep(arrays, where + " state", of.state);
    keep(arrays, where + " average", of.average);
  }
  keep(arrays, "dense weights", session.dense.weights());
  keep(arrays, "dense state", session.dense.state());
  keep(arrays, "dense average", session.dense.average());
}

struct TwoEpochs {
  int world_size = 1;
  bool swap = false;      // what a stop and a restart do to the devices' arrays between the epochs
  bool weighted = false;  // ids have weights
  std::function<void(const Communicator&)> before{};              // each rank's, first of all
  std::function<void(Session&, std::int64_t step)> after_step{};  // while the next batch is on its way
};

inline Outcome train_two_epochs(const Experiment& experiment, const TwoEpochs& how) {
  const std::int64_t batch_size = experiment.integer("train.batch_size"), all = experiment.integer("data.samples");
  Outcome outcome;
  std::mutex mutex;
  run_ranks(how.world_size, [&](Communicator& ranks) {
    if (how.before) how.before(ranks);
    Session session(experiment, small_data(experiment), ranks, choose_device(experiment, ranks));
    PhaseClock clock;
    Batch batch, next;
    std::int64_t step = 0;
    for (int epoch = 0; epoch < 2; ++epoch) {
      read_part(session, 0, std::min(batch_size, all), batch, how.weighted);
      for (std::int64_t start = 0; start < all; start += batch_size) {
        const std::int64_t size = std::min(batch_size, all - start), after = start + size;
        StepInput input{batch, size, ++step, 1.0 / static_cast<double>(step)};
        if (after < all) {
          read_part(session, after, std::min(batch_size, all - after), next, how.weighted);
          input.next.emplace(NextBatch{next, std::min(batch_size, all - after)});
        }
        const double loss = train_step(session, input, clock).loss;
        if (ranks.rank() == 0) outcome.losses.push_back(loss);
        if (how.after_step) how.after_step(session, step);
        std::swap(batch, next);
      }
      if (!how.swap) continue;
      fetch_from_device(session);
      send_to_device(session);
    }
    const std::int64_t sent = session.embedding.bytes_sent();
    const Scores raw = score(session, *session.data.test, step, false);
    const Scores averaged = session.averaging ? score(session, *session.data.test, step, true) : Scores{};
    fetch_from_device(session);
    const std::scoped_lock lock(mutex);
    keep_all(outcome.arrays, session);
    outcome.bytes_sent += sent;
    if (ranks.rank() != 0) return;
    outcome.scores = raw.probabilities;
    outcome.averaged_scores = averaged.probabilities;
    if (session.device) outcome.replayed = session.device->replayed_steps();
    if (session.device) outcome.caches = session.device->row_caches();
    outcome.device = session.choice.name;
    outcome.note = session.choice.note;
  });
  return outcome;
}

/// Largest difference of an array over its largest value.
inline double distance(std::span<const float> a, std::span<const float> b) {
  double largest = 0, worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(a[i])));
    worst = std::max(worst, std::abs(static_cast<double>(a[i]) - b[i]));
  }
  return largest > 0 ? worst / largest : worst;
}

inline void expect_equal(const Outcome& cpu, const Outcome& device, double tolerance) {
  ASSERT_EQ(cpu.losses.size(), device.losses.size());
  for (std::size_t i = 0; i < cpu.losses.size(); ++i)
    EXPECT_NEAR(device.losses[i], cpu.losses[i], tolerance * cpu.losses[i]) << "step " << i + 1;
  for (const auto& [name, array] : cpu.arrays) {
    const auto found = device.arrays.find(name);
    ASSERT_TRUE(found != device.arrays.end() && found->second.size() == array.size()) << name;
    EXPECT_LE(distance(array, found->second), tolerance) << name;
  }
  for (std::size_t i = 0; i < cpu.scores.size(); ++i) EXPECT_NEAR(device.scores[i], cpu.scores[i], tolerance);
  ASSERT_EQ(cpu.averaged_scores.size(), device.averaged_scores.size());
  for (std::size_t i = 0; i < cpu.averaged_scores.size(); ++i)
    EXPECT_NEAR(device.averaged_scores[i], cpu.averaged_scores[i], tolerance);
}

}  // namespace swallowtail::testing
