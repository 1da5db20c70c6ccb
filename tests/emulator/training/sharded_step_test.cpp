// A DLRM on several ranks, each with its shards of the tables in its emulated device, against the CPU's ranks: loss
// curve, every shard's rows and optimizer state, dense weights, averages and scores.
#include "kernels/random.h"
#include "tests/emulator/memory.h"
#include "tests/emulator/training/two_epochs.h"

namespace swallowtail {
namespace {

using testing::Outcome;
using testing::read_part;
using testing::TwoEpochs;
using Words = std::vector<std::string>;

constexpr const char* kShardings[]{"table_wise", "row_wise", "column_wise", "table_row_wise", "data_parallel"};
// Adam divides a gradient by its own size, so the rounding of one that is nearly nothing is as large as a step.
constexpr std::pair<const char*, double> kOptimizers[]{
    {"sgd", 1e-5}, {"rowwise_adagrad", 1e-5}, {"adagrad", 1e-5}, {"adam", 1e-4}, {"adamw", 1e-4}};

Outcome on(const char* device, Words extra, const TwoEpochs& how) {
  extra.push_back(std::string("parallel.device=") + device);
  return testing::train_two_epochs(testing::small_experiment(extra), how);
}

void compare(const TwoEpochs& how, const Words& extra, double tolerance = 1e-5) {
  std::string words = std::to_string(how.world_size) + " ranks ";
  for (const std::string& word : extra) words += word + " ";
  SCOPED_TRACE(words);
  const Outcome cpu = on("cpu", extra, how), device = on("cuda", extra, how);
  EXPECT_EQ(device.note, how.world_size == 1
                             ? "device: cuda: emulated device, the whole step"
                             : "device: cuda: emulated device, the whole step; each rank's shards of the "
                               "tables in its device's memory");
  testing::expect_equal(cpu, device, tolerance);
}

std::string sharding(const char* name) { return std::string("embedding.sharding=") + name; }

class ShardedStep : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { use_devices(); }
};

TEST_F(ShardedStep, HasTheCpusCurveUnderEverySharding) {
  for (const char* name : kShardings)
    for (const int world_size : {2, 3, 4})
      compare({.world_size = world_size}, {sharding(name), "embedding.optimizer=sgd"});
  // One rank holds all tables on its device, whole and in order, whatever was asked for.
  compare({.world_size = 1}, {sharding("table_wise"), "embedding.optimizer=sgd"});
}

TEST_F(ShardedStep, HasTheCpusCurveWithEveryOptimizer) {
  for (const char* name : {"table_wise", "row_wise", "column_wise"})
    for (const auto& [optimizer, tolerance] : kOptimizers)
      compare({.world_size = 3},
              {sharding(name), std::string("embedding.optimizer=") + optimizer, "embedding.weight_decay=0.01"},
              tolerance);
}

TEST_F(ShardedStep, PoolsMeansAndWeighsIds) {
  for (const char* name : kShardings)
    for (const bool weighted : {false, true})
      compare({.world_size = 2, .weighted = weighted}, {sharding(name), "model.pooling=mean"});
  compare({.world_size = 3, .weighted = true}, {sharding("row_wise")});
}

TEST_F(ShardedStep, TakesEveryPartOfTheModel) {
  compare({.world_size = 3}, {sharding("row_wise"), "model.linear=true", "model.dropout=0.25",
                              "train.average_decay=0.9", "train.optimizer=adam"});
  compare({.world_size = 2}, {sharding("column_wise"), "train.average_decay=0.9", "model.interaction=cat",
                              "train.label_smoothing=0.1", "train.class_weights=[1, 3]"});
  compare({.world_size = 2}, {sharding("data_parallel"), "train.average_decay=0.9", "train.loss=mse",
                              "data.dense_features=0", "train.gradient_clip_norm=0.05"});
  for (const char* name : {"row_wise", "table_wise"})
    compare({.world_size = 3}, {sharding(name), "model.interaction=cross", "model.cross_rank=5", "model.linear=true",
                                "train.average_decay=0.9"});
}

TEST_F(ShardedStep, RanksMayHaveNoSampleOrNoShard) {
  compare({.world_size = 4}, {"train.batch_size=3", "data.samples=20", sharding("row_wise")});
  compare({.world_size = 4}, {"train.batch_size=2", "data.samples=9",
                              "data.tables=[{rows: 5, pooling_factor: 3, fixed: false}]", sharding("table_wise")});
}

TEST_F(ShardedStep, HasTheCpusCurveForRandomShapes) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const auto below = [&](std::uint64_t purpose, std::int64_t n) {
      return random::below(random::bits(seed, purpose), n);
    };
    const std::int64_t tables = 1 + below(1, 4),
                       dim = std::vector<std::int64_t>{4, 6, 12, 20}[static_cast<std::size_t>(below(2, 4))];
    const auto& [optimizer, tolerance] = kOptimizers[below(3, 4)];
    std::string list;
    Words words;
    for (std::int64_t t = 0; t < tables; ++t) {
      const auto key = [&](std::uint64_t purpose, std::int64_t n) {
        return below(100 * (10 + static_cast<std::uint64_t>(t)) + purpose, n);
      };
      list += fmt::format("{}{{rows: {}, pooling_factor: {}, fixed: {}}}", t ? ", " : "", 4 + key(1, 60), 1 + key(2, 4),
                          key(3, 2) == 0);
      words.push_back(fmt::format("embedding.tables.t{}.sharding={}", t, kShardings[key(4, 5)]));
    }
    words.push_back("data.tables=[" + list + "]");
    words.push_back(fmt::format("model.embedding_dim={}", dim));
    words.push_back(std::string("embedding.optimizer=") + optimizer);
    words.push_back(fmt::format("train.batch_size={}", 1 + below(4, 40)));
    words.push_back(fmt::format("data.samples={}", 20 + below(5, 60)));
    words.push_back(below(6, 2) ? "model.pooling=mean" : "model.pooling=sum");
    words.push_back(below(7, 2) ? "embedding.row_order=hashed" : "embedding.row_order=blocked");
    compare({.world_size = static_cast<int>(2 + below(8, 3)), .weighted = below(9, 2) == 0}, words, 10 * tolerance);
  }
}

TEST_F(ShardedStep, OverlapAndADetourThroughTheHostChangeNoBit) {
  const Words words{"train.average_decay=0.9", "embedding.tables.t0.sharding=row_wise",
                    "embedding.tables.t1.sharding=data_parallel", "embedding.tables.t2.sharding=column_wise"};
  Words in_turn = words;
  in_turn.emplace_back("parallel.overlap=false");
  const Outcome straight = on("cuda", words, {.world_size = 3});
  for (const Outcome& other :
       {on("cuda", words, {.world_size = 3, .swap = true}), on("cuda", in_turn, {.world_size = 3})}) {
    EXPECT_EQ(straight.losses, other.losses);
    EXPECT_EQ(straight.arrays, other.arrays);
    EXPECT_EQ(straight.scores, other.scores);
  }
}

TEST_F(ShardedStep, NarrowWiresFollowTheCurveInFewerBytes) {
  const Words words{"embedding.tables.t0.sharding=row_wise", "embedding.tables.t1.sharding=data_parallel",
                    "embedding.tables.t2.sharding=column_wise"};
  const Outcome whole = on("cuda", words, {.world_size = 2});
  for (const auto& [wire, tolerance, bytes] :
       {std::tuple("bf16", 2e-2, 0.8), std::tuple("fp16", 3e-3, 0.8), std::tuple("int8", 3e-2, 0.7)}) {
    Words narrow = words;
    narrow.push_back(std::string("parallel.wire=") + wire);
    const Outcome device = on("cuda", narrow, {.world_size = 2});
    for (std::size_t i = 0; i < whole.losses.size(); ++i)
      EXPECT_NEAR(device.losses[i], whole.losses[i], tolerance * whole.losses[i]) << wire << " step " << i + 1;
    EXPECT_NE(device.losses, whole.losses) << wire;
    EXPECT_LT(static_cast<double>(device.bytes_sent), bytes * static_cast<double>(whole.bytes_sent)) << wire;
  }
}

TEST_F(ShardedStep, HalfPrecisionFollowsTheCurve) {
  const Outcome cpu = on("cpu", {sharding("row_wise")}, {.world_size = 2});
  for (const auto& [precision, tolerance] : {std::pair("bf16", 2e-2), std::pair("fp16", 3e-3)}) {
    const Outcome device =
        on("cuda", {sharding("row_wise"), std::string("train.precision=") + precision}, {.world_size = 2});
    for (std::size_t i = 0; i < cpu.losses.size(); ++i)
      EXPECT_NEAR(device.losses[i], cpu.losses[i], tolerance * cpu.losses[i]) << precision << " step " << i + 1;
    EXPECT_NE(device.losses, cpu.losses) << precision;
  }
}

/// What each rank's session throws in `body`, [rank]; the first of them ends the run.
std::vector<std::string> errors_of(const Words& extra, int world_size, const std::function<void(Session&)>& body) {
  const Experiment experiment = testing::small_experiment(extra);
  std::vector<std::string> errors(static_cast<std::size_t>(world_size));
  run_ranks(world_size, [&](Communicator& ranks) {
    Session session(experiment, testing::small_data(experiment), ranks, choose_device(experiment, ranks));
    try {
      body(session);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::numbers) << error.message();
      errors[static_cast<std::size_t>(ranks.rank())] = error.message();
    }
  });
  return errors;
}

void train_one(Session& session, std::int64_t step, float spoiled_on_last_rank, bool skipped) {
  PhaseClock clock;
  Batch batch;
  read_part(session, 0, 32, batch);
  if (session.ranks.rank() + 1 == session.ranks.world_size()) batch.dense[5] += spoiled_on_last_rank;
  EXPECT_EQ(train_step(session, {batch, 32, step, 1.0}, clock).skipped, skipped);
}

TEST_F(ShardedStep, ALossThatGoesBadIsNamedAlikeOnEveryRank) {
  const float infinity = std::numeric_limits<float>::infinity();
  const auto spoil = [&](Session& session) { train_one(session, 1, infinity, false); };
  const auto cpu = errors_of({"parallel.device=cpu"}, 2, spoil), device = errors_of({"parallel.device=cuda"}, 2, spoil);
  EXPECT_NE(device[0].find("the loss is not finite in step 1 (rank 1)"), std::string::npos) << device[0];
  EXPECT_EQ(device[0], device[1]);
  EXPECT_EQ(device, cpu);
}

TEST_F(ShardedStep, ARowThatGoesBadIsNamedByItsOwner) {
  // The decay of a row of more than 1.2 is beyond the numbers; rows are spread, so that their places are not their
  // numbers.
  const auto spoil = [&](Session& session) { train_one(session, 1, 0, false); };
  const Words words{"data.tables=[{rows: 31, pooling_factor: 4}]", sharding("row_wise"), "embedding.weight_decay=3e38",
                    "embedding.init_scale=100", "embedding.optimizer=sgd"};
  Words on_cpu = words, on_device = words;
  on_cpu.emplace_back("parallel.device=cpu");
  on_device.emplace_back("parallel.device=cuda");
  const auto cpu = errors_of(on_cpu, 2, spoil), device = errors_of(on_device, 2, spoil);
  EXPECT_NE(device[1].find("table 't0' row"), std::string::npos) << device[1];
  EXPECT_EQ(device, cpu);
}

TEST_F(ShardedStep, EveryRankSkipsABadStepAndLeavesEverythingAlone) {
  for (const float bad : {std::numeric_limits<float>::infinity(), 0.0F}) {
    const auto errors =
        errors_of({"parallel.device=cuda", "train.on_nonfinite=skip", sharding("row_wise")}, 3, [&](Session& session) {
          train_one(session, 1, 0, false);
          fetch_from_device(session);
          testing::Arrays before, after;
          testing::keep_all(before, session);
          train_one(session, 2, bad, bad > 0);
          fetch_from_device(session);
          testing::keep_all(after, session);
          EXPECT_EQ(before == after, bad > 0);
        });
    for (const std::string& error : errors) EXPECT_EQ(error, "");
  }
}

TEST_F(ShardedStep, LeavesTablesOnTheHostWhereTheyDoNotFit) {
  const Words words{"train.batch_size=10000000"};  // the room of so large a batch is more than the device's
  const Outcome device = on("cuda", words, {.world_size = 2});
  EXPECT_EQ(
      device.note,
      "device: cuda: emulated device, the dense part; tables and exchanges on the host (the shards of a rank do not "
      "fit its device's memory)");
  testing::expect_equal(on("cpu", words, {.world_size = 2}), device, 1e-5);
}

TEST_F(ShardedStep, RanksTrainAlikeWhereOneHasNoDevice) {
  const TwoEpochs how{.world_size = 2, .before = [](const Communicator& ranks) { emulator::devices() = ranks.rank(); }};
  const Outcome automatic = on("auto", {}, how);
  EXPECT_EQ(automatic.device, "cpu");
  EXPECT_EQ(automatic.arrays, on("cpu", {}, how).arrays);
  EXPECT_THROW(on("cuda", {}, how), Error);
}

}  // namespace
}  // namespace swallowtail
