// A DLRM trained in the emulated device against the CPU's step: loss curve, all weights, all optimizer states, averages
// and scores, with every optimizer, multi-hot with empty bags, sum and mean.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <mutex>
#include <numeric>

#include "parallel/local_communicator.h"
#include "tests/emulator/memory.h"
#include "trainer/data/synthetic.h"
#include "trainer/training/device_run.h"
#include "trainer/training/scorer.h"
#include "trainer/training/session.h"

namespace swallowtail {
namespace {

constexpr std::int64_t kBatch = 32, kSamples = 150;  // the last of five batches has 22 samples

Experiment experiment_of(const std::vector<std::string>& extra) {
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
  Arrays arrays;
  std::vector<double> scores, averaged_scores;
  std::int64_t replayed = 0;
  std::string device;
};

void read_part(Session& session, std::int64_t start, std::int64_t size, Batch& batch) {
  const auto [begin, end] = session.share.rank_samples(size, session.ranks.rank());
  std::vector<std::int64_t> samples(static_cast<std::size_t>(end - begin));
  std::iota(samples.begin(), samples.end(), start + begin);
  session.data.train->read(samples, batch);
}

/// Two epochs; `swap`: what a stop and a restart do to the device's arrays between them.
Outcome train_two_epochs(const Experiment& experiment, int world_size, bool swap = false) {
  Outcome outcome;
  std::mutex mutex;
  run_ranks(world_size, [&](Communicator& ranks) {
    Data data;
    data.train = make_synthetic(experiment, 1, "train");
    data.test = make_synthetic(experiment, 1, "test");
    Session session(experiment, std::move(data), ranks, choose_device(experiment, ranks));
    PhaseClock clock;
    Batch batch, next;
    std::int64_t step = 0;
    for (int epoch = 0; epoch < 2; ++epoch) {
      read_part(session, 0, kBatch, batch);
      for (std::int64_t start = 0; start < kSamples; start += kBatch) {
        const std::int64_t size = std::min(kBatch, kSamples - start), after = start + size;
        StepInput input{batch, size, ++step, 1.0 / static_cast<double>(step)};
        if (after < kSamples) {
          read_part(session, after, std::min(kBatch, kSamples - after), next);
          input.next.emplace(NextBatch{next, std::min(kBatch, kSamples - after)});
        }
        const double loss = train_step(session, input, clock).loss;
        if (ranks.rank() == 0) outcome.losses.push_back(loss);
        std::swap(batch, next);
      }
      if (!swap) continue;
      fetch_from_device(session);
      send_to_device(session);
    }
    const Scores raw = score(session, *session.data.test, step, false);
    const Scores averaged = session.averaging ? score(session, *session.data.test, step, true) : Scores{};
    fetch_from_device(session);
    const std::scoped_lock lock(mutex);
    for (const TableShard& shard : session.embedding.shards()) {
      const std::string& name = session.tables[static_cast<std::size_t>(shard.table)].name;
      outcome.arrays[name + " rows"].assign(shard.weights.begin(), shard.weights.end());
      outcome.arrays[name + " state"].assign(shard.state.begin(), shard.state.end());
      outcome.arrays[name + " average"].assign(shard.average.begin(), shard.average.end());
    }
    if (ranks.rank() != 0) return;
    const auto copy = [&](const char* name, std::span<const float> from) {
      outcome.arrays[name].assign(from.begin(), from.end());
    };
    copy("dense weights", session.dense.weights());
    copy("dense state", session.dense.state());
    copy("dense average", session.dense.average());
    outcome.scores = raw.probabilities;
    outcome.averaged_scores = averaged.probabilities;
    if (session.device) outcome.replayed = session.device->replayed_steps();
    outcome.device = session.choice.name;
  });
  return outcome;
}

/// Largest difference of an array over its largest value.
double distance(std::span<const float> a, std::span<const float> b) {
  double largest = 0, worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(a[i])));
    worst = std::max(worst, std::abs(static_cast<double>(a[i]) - b[i]));
  }
  return largest > 0 ? worst / largest : worst;
}

void expect_equal(const Outcome& cpu, const Outcome& device, double tolerance) {
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

class DeviceStep : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { use_devices(); }

  static Outcome on(const char* device, std::vector<std::string> extra, int world_size = 1, bool swap = false) {
    extra.push_back(std::string("parallel.device=") + device);
    return train_two_epochs(experiment_of(extra), world_size, swap);
  }
  static void compare(const std::vector<std::string>& extra, double tolerance = 1e-5) {
    std::string words;
    for (const std::string& word : extra) words += word + " ";
    SCOPED_TRACE(words);
    const Outcome cpu = on("cpu", extra), device = on("cuda", extra);
    EXPECT_EQ(cpu.device, "cpu");
    EXPECT_EQ(device.device, "cuda: emulated device");
    expect_equal(cpu, device, tolerance);
  }
};

TEST_F(DeviceStep, HasTheCpusCurveWithEveryRowOptimizer) {
  // Adam divides a gradient by its own size, so the rounding of one that is nearly nothing is as large as a step.
  for (const auto& [optimizer, tolerance] :
       {std::pair("sgd", 1e-5), std::pair("adagrad", 1e-5), std::pair("rowwise_adagrad", 1e-5), std::pair("adam", 1e-4),
        std::pair("adamw", 1e-4)})
    compare({std::string("embedding.optimizer=") + optimizer, "embedding.weight_decay=0.01"}, tolerance);
}

TEST_F(DeviceStep, HasTheCpusCurveWithEveryDenseOptimizer) {
  for (const char* optimizer : {"sgd", "adagrad", "adam", "adamw"})
    compare({std::string("train.optimizer=") + optimizer, "train.weight_decay=0.01"});
  compare({"train.optimizer=sgd", "train.momentum=0.9", "train.gradient_clip_norm=0.05"});
}

TEST_F(DeviceStep, PoolsMeans) { compare({"model.pooling=mean"}); }

TEST_F(DeviceStep, TakesEveryPartOfTheModel) {
  compare({"model.linear=true", "model.dropout=0.25", "train.average_decay=0.9", "train.optimizer=adam"});
  compare({"model.interaction=cat", "train.label_smoothing=0.1", "train.class_weights=[1, 3]"});
  compare({"model.interaction_itself=true", "train.loss=mse", "data.dense_features=0"});
  compare({"model.embedding_dim=6", "model.linear=true", "model.bottom_mlp=[]", "model.top_mlp=[]"});
}

TEST_F(DeviceStep, ReplaysRecordedStepsWithTheSameBits) {
  // One id a bag: every batch but the last of an epoch has the same shape.
  const std::vector<std::string> one_hot{"data.tables=[{rows: 30}, {rows: 7}]"};
  auto plain = one_hot;
  plain.emplace_back("parallel.cuda_graphs=false");
  const Outcome recorded = on("cuda", one_hot), launched = on("cuda", plain);
  EXPECT_GT(recorded.replayed, 2);
  EXPECT_EQ(launched.replayed, 0);
  EXPECT_EQ(recorded.losses, launched.losses);
  EXPECT_EQ(recorded.arrays, launched.arrays);
}

TEST_F(DeviceStep, GoesThroughTheHostWithoutAChange) {
  const std::vector<std::string> all{"train.average_decay=0.9", "train.optimizer=adam", "embedding.optimizer=adam"};
  const Outcome through = on("cuda", all, 1, true), straight = on("cuda", all);
  EXPECT_EQ(through.losses, straight.losses);
  EXPECT_EQ(through.arrays, straight.arrays);
}

TEST_F(DeviceStep, HalfPrecisionFollowsTheCurve) {
  const Outcome cpu = on("cpu", {});
  for (const auto& [precision, tolerance] :
       {std::pair("tf32", 3e-3), std::pair("bf16", 2e-2), std::pair("fp16", 3e-3)}) {
    const Outcome device = on("cuda", {std::string("train.precision=") + precision});
    for (std::size_t i = 0; i < cpu.losses.size(); ++i)
      EXPECT_NEAR(device.losses[i], cpu.losses[i], tolerance * cpu.losses[i]) << precision << " step " << i + 1;
    EXPECT_NE(device.losses, cpu.losses) << precision;
  }
}

TEST_F(DeviceStep, ScalingTheLossByAPowerOfTwoChangesNoBit) {
  const Outcome plain = on("cuda", {}), scaled = on("cuda", {"train.loss_scale=1024"});
  EXPECT_EQ(plain.losses, scaled.losses);
  EXPECT_EQ(plain.arrays, scaled.arrays);
}

TEST_F(DeviceStep, DensePartOnSeveralRanksFollowsTheCpusCurve) {
  // Ranks are threads here and the emulated device is one: they take turns at it. Tables lie whole on one rank each.
  const std::vector<std::string> parts{"model.linear=true", "embedding.sharding=table_wise", "model.dropout=0.25"};
  for (const int world_size : {2, 3}) {
    const Outcome device = on("cuda", parts, world_size);
    EXPECT_EQ(device.device, "cuda: emulated device");
    EXPECT_EQ(device.replayed, 0);
    expect_equal(on("cpu", parts, world_size), device, 1e-5);
  }
}

TEST_F(DeviceStep, NumbersThatGoBadAreNamed) {
  try {
    on("cuda", {"train.learning_rate=1e30", "embedding.learning_rate=1e30", "train.optimizer=sgd"});
    FAIL() << "nothing went bad";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::numbers) << error.message();
    EXPECT_NE(error.message().find("not finite in step"), std::string::npos) << error.message();
  }
}

TEST_F(DeviceStep, SkipsABadStepAndLeavesEverythingAlone) {
  const Experiment experiment = experiment_of({"parallel.device=cuda", "train.on_nonfinite=skip"});
  run_ranks(1, [&](Communicator& ranks) {
    Data data;
    data.train = make_synthetic(experiment, 1, "train");
    Session session(experiment, std::move(data), ranks, choose_device(experiment, ranks));
    PhaseClock clock;
    Batch batch;
    read_part(session, 0, kBatch, batch);
    EXPECT_FALSE(train_step(session, {batch, kBatch, 1, 1.0}, clock).skipped);
    fetch_from_device(session);
    const std::vector<float> before(session.dense.weights().begin(), session.dense.weights().end());
    const auto rows = session.embedding.shards()[0].weights;
    batch.dense[5] = std::numeric_limits<float>::infinity();
    EXPECT_TRUE(train_step(session, {batch, kBatch, 2, 1.0}, clock).skipped);
    fetch_from_device(session);
    EXPECT_TRUE(std::ranges::equal(before, session.dense.weights()));
    EXPECT_TRUE(std::ranges::equal(rows, session.embedding.shards()[0].weights));
  });
}

TEST_F(DeviceStep, RefusesWhatNoDeviceTrains) {
  for (const char* key : {"train.deterministic=true", "train.autograd=true", "embedding.tables.t0.dim=8"}) {
    EXPECT_THROW(on("cuda", {key}), Error) << key;
    EXPECT_EQ(on("auto", {key}).device, "cpu") << key;
  }
  EXPECT_THROW(on("cpu", {"train.precision=bf16"}), Error);
  EXPECT_EQ(on("auto", {}).device, "cuda: emulated device");
}

TEST(LossScale, ShrinksAtOnceAndGrowsSlowly) {
  LossScale scale = LossScale::for_precision(cuda::Precision::fp16);
  EXPECT_EQ(scale.value(), LossScale::kFirst);
  EXPECT_TRUE(scale.update(false));
  EXPECT_EQ(scale.value(), LossScale::kFirst / 2);
  for (std::int64_t step = 1; step < LossScale::kGrowEvery; ++step) EXPECT_FALSE(scale.update(true));
  EXPECT_TRUE(scale.update(true));
  EXPECT_EQ(scale.value(), LossScale::kFirst);
  while (scale.can_shrink()) scale.update(false);
  EXPECT_EQ(scale.value(), 1);
  EXPECT_FALSE(scale.update(false));
  EXPECT_FALSE(LossScale::for_precision(cuda::Precision::bf16).is_dynamic());
  EXPECT_FALSE(LossScale::fixed(8).update(false));
}

}  // namespace
}  // namespace swallowtail
