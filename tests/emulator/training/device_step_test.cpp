// A DLRM trained in the emulated device against the CPU's step: loss curve, all weights, all optimizer states, averages
// and scores, with every optimizer, multi-hot with empty bags, sum and mean.
#include "tests/emulator/memory.h"
#include "tests/emulator/training/two_epochs.h"

namespace swallowtail {
namespace {

using testing::expect_equal;
using testing::Outcome;
using testing::read_part;

class DeviceStep : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { use_devices(); }

  static Outcome on(const char* device, std::vector<std::string> extra, const testing::TwoEpochs& how = {}) {
    extra.push_back(std::string("parallel.device=") + device);
    return testing::train_two_epochs(testing::small_experiment(extra), how);
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

TEST_F(DeviceStep, CrossNetworkHasTheCpusCurve) {
  const auto cross = [](std::vector<std::string> more) {
    more.emplace_back("model.interaction=cross");
    return more;
  };
  compare(cross({"model.linear=true", "model.dropout=0.25", "train.average_decay=0.9", "train.optimizer=adam"}));
  compare(cross({"model.cross_layers=1", "model.cross_rank=1", "train.gradient_clip_norm=0.05"}));
  compare(cross({"model.embedding_dim=6", "model.cross_rank=24", "model.top_mlp=[]"}));  // full rank
  compare(cross({"model.embedding_dim=5", "model.cross_layers=4", "data.dense_features=0"}));
  const Outcome cpu = on("cpu", cross({}));
  for (const auto& [precision, tolerance] :
       {std::pair("tf32", 3e-3), std::pair("bf16", 2e-2), std::pair("fp16", 3e-3)}) {
    const Outcome device = on("cuda", cross({std::string("train.precision=") + precision}));
    for (std::size_t i = 0; i < cpu.losses.size(); ++i)
      EXPECT_NEAR(device.losses[i], cpu.losses[i], tolerance * cpu.losses[i]) << precision << " step " << i + 1;
    EXPECT_NE(device.losses, cpu.losses) << precision;
  }
}

TEST_F(DeviceStep, ReplaysRecordedStepsWithTheSameBits) {
  // One id a bag: every batch but the last of an epoch has the same shape.
  const std::vector<std::string> one_hot{"data.tables=[{rows: 30}, {rows: 7}]"};
  auto plain = one_hot;
  plain.emplace_back("parallel.cuda_graphs=false");
  for (const char* interaction : {"dot", "cross"}) {
    const auto with = [&](std::vector<std::string> words) {
      words.push_back(std::string("model.interaction=") + interaction);
      return on("cuda", words);
    };
    const Outcome recorded = with(one_hot), launched = with(plain);
    EXPECT_GT(recorded.replayed, 2) << interaction;
    EXPECT_EQ(launched.replayed, 0) << interaction;
    EXPECT_EQ(recorded.losses, launched.losses) << interaction;
    EXPECT_EQ(recorded.arrays, launched.arrays) << interaction;
  }
}

TEST_F(DeviceStep, GoesThroughTheHostWithoutAChange) {
  const std::vector<std::string> all{"train.average_decay=0.9", "train.optimizer=adam", "embedding.optimizer=adam"};
  const Outcome through = on("cuda", all, {.swap = true}), straight = on("cuda", all);
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
  // Ranks that share a device leave their tables on the host: they take turns at it.
  const std::vector<std::string> parts{"model.linear=true", "embedding.sharding=table_wise", "model.dropout=0.25"};
  for (const int world_size : {2, 3}) {
    const testing::TwoEpochs how{.world_size = world_size,
                                 .before = [](const Communicator&) { emulator::devices() = 1; }};
    const Outcome device = on("cuda", parts, how);
    EXPECT_EQ(device.device, "cuda: emulated device");
    EXPECT_EQ(
        device.note,
        "device: cuda: emulated device, the dense part; tables and exchanges on the host (a machine has more ranks "
        "than devices, and NCCL wants one each)");
    EXPECT_EQ(device.replayed, 0);
    expect_equal(on("cpu", parts, how), device, 1e-5);
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
  const Experiment experiment = testing::small_experiment({"parallel.device=cuda", "train.on_nonfinite=skip"});
  run_ranks(1, [&](Communicator& ranks) {
    Session session(experiment, testing::small_data(experiment), ranks, choose_device(experiment, ranks));
    PhaseClock clock;
    Batch batch;
    read_part(session, 0, 32, batch);
    EXPECT_FALSE(train_step(session, {batch, 32, 1, 1.0}, clock).skipped);
    fetch_from_device(session);
    const std::vector<float> before(session.dense.weights().begin(), session.dense.weights().end());
    const auto rows = session.embedding.shards()[0].weights;
    batch.dense[5] = std::numeric_limits<float>::infinity();
    EXPECT_TRUE(train_step(session, {batch, 32, 2, 1.0}, clock).skipped);
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
