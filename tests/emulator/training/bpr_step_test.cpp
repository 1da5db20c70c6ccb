// BPR-MF trained in the emulated device against the CPU's steps: loss curve, tables and optimizer states to the bit.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/random.h"
#include "parallel/local_communicator.h"
#include "tests/unit/ranking/interactions_fixture.h"
#include "trainer/device/device_trainer.h"
#include "trainer/ranking/ranker.h"
#include "trainer/training/ranking_device.h"

namespace swallowtail {
namespace {

using test::interactions;

Experiment experiment(const std::vector<std::string>& extra = {}) {
  return Experiment::parse(
      "data: {source: interactions, train: none}\n"
      "model: {type: bpr_mf, embedding_dim: 8}\n"
      "embedding: {optimizer: adagrad, learning_rate: 0.1, init: normal, init_scale: 0.3}\n"
      "train: {chunk: 4, threads: 1}\n",
      extra);
}

/// Histories of 0 to 9 items, some twice; a user without any, and one who has every item and so no negative.
Interactions small_data(std::uint64_t seed = 1) {
  constexpr std::int64_t kUsers = 17, kItems = 12;
  std::vector<std::vector<std::int64_t>> histories;
  for (std::int64_t user = 0; user < kUsers; ++user) {
    auto& history = histories.emplace_back();
    const auto key = random::bits(seed, 7, static_cast<std::uint64_t>(user));
    const std::int64_t count = user == 3 ? 0 : random::below(random::mix(key), 10);
    for (std::int64_t i = 0; i < count; ++i)
      history.push_back(random::below(random::bits(key, 8, static_cast<std::uint64_t>(i)), kItems));
  }
  histories[5].resize(kItems);
  std::iota(histories[5].begin(), histories[5].end(), 0);
  return interactions(histories, kItems);
}

struct Trained {
  std::vector<double> losses;
  std::vector<std::vector<float>> arrays;  // weights and state of each table
  std::vector<float> scores;
  bool operator==(const Trained&) const = default;
};

struct How {
  std::int64_t batch = 7, epochs = 3;
  bool tells_next = true;
  bool detours = false;  // between epochs the device is left and taken again
};

Trained train(const Experiment& from, const Interactions& data, bool on_device, const How& how = {}) {
  const auto rank = make_single_rank();
  const auto model = make_bpr_mf({from, data, *rank});
  if (on_device) {
    EXPECT_FALSE(model->device_obstacle());
    model->use_device(0);
  }
  std::vector<RankerStep> steps;
  const std::int64_t samples = model->epoch_samples();
  for (std::int64_t epoch = 0; epoch < how.epochs; ++epoch)
    for (std::int64_t first = 0; first < samples; first += how.batch)
      steps.push_back({.step = std::ssize(steps) + 1,
                       .epoch = epoch,
                       .first = first,
                       .size = std::min(how.batch, samples - first),
                       .rate_factor = 1.0 / static_cast<double>(1 + epoch)});
  Trained trained;
  for (std::size_t s = 0; s < steps.size(); ++s) {
    if (how.tells_next && s + 1 < steps.size()) steps[s].next = &steps[s + 1];
    trained.losses.push_back(model->train_step(steps[s]));
    if (!how.detours || s + 1 == steps.size() || steps[s + 1].first != 0) continue;
    model->leave_device();
    model->use_device(0);
  }
  model->prepare_scores();
  for (const TableShard& shard : model->embedding()->shards()) {
    trained.arrays.emplace_back(shard.weights.begin(), shard.weights.end());
    trained.arrays.emplace_back(shard.state.begin(), shard.state.end());
  }
  trained.scores.resize(static_cast<std::size_t>(data.items.size()));
  const std::int64_t user = std::min<std::int64_t>(2, data.users.size() - 1);
  const RankingQuery query{user, data.train.of(user)};
  model->score(std::span(&query, 1), trained.scores);
  return trained;
}

class BprStep : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { use_devices(); }

  /// The same tables either way; with train.deterministic the same losses too.
  static void compare(std::vector<std::string> extra, const Interactions& data, const How& how = {}) {
    SCOPED_TRACE(fmt::format("{}, batches of {}", fmt::join(extra, " "), how.batch));
    const Trained cpu = train(experiment(extra), data, false, how), device = train(experiment(extra), data, true, how);
    ASSERT_EQ(cpu.losses.size(), device.losses.size());
    for (std::size_t s = 0; s < cpu.losses.size(); ++s)
      EXPECT_NEAR(cpu.losses[s], device.losses[s], 1e-12 * cpu.losses[s]) << "step " << s + 1;
    EXPECT_TRUE(cpu.arrays == device.arrays) << "the tables have other bits";
    EXPECT_EQ(cpu.scores, device.scores);
    extra.emplace_back("train.deterministic=true");
    EXPECT_TRUE(cpu == train(experiment(extra), data, true, how)) << "deterministic";
  }
};

TEST_F(BprStep, HasTheCpusBitsWithEveryOptimizer) {
  const Interactions data = small_data();
  for (const char* optimizer : {"sgd", "adagrad", "rowwise_adagrad", "adam", "adamw"})
    for (const char* decay : {"0", "0.01"})
      for (const bool has_bias : {false, true})
        compare({fmt::format("embedding.optimizer={}", optimizer), fmt::format("embedding.weight_decay={}", decay),
                 fmt::format("model.item_bias={}", has_bias)},
                data);
}

TEST_F(BprStep, HasTheCpusBitsWithEveryKindOfNegative) {
  const Interactions data = small_data(2);
  for (const char* negatives : {"uniform", "popularity", "hard"})
    for (const int each : {1, 3, 18})
      compare({fmt::format("train.negatives={}", negatives), fmt::format("train.negatives_per_positive={}", each),
               fmt::format("train.hard_candidates={}", 1 + each), "model.item_bias=true", "embedding.optimizer=adam"},
              data);
}

TEST_F(BprStep, HasTheCpusBitsWithBatchesAndVectorsOfEverySize) {
  for (const std::int64_t batch : {1, 5, 64, 1000})
    for (const int dim : {1, 16, 19}) {
      const How how{.batch = batch, .epochs = batch == 1 ? 1 : 3};
      compare({fmt::format("model.embedding_dim={}", dim), "embedding.optimizer=rowwise_adagrad"},
              small_data(static_cast<std::uint64_t>(batch)), how);
    }
}

TEST_F(BprStep, TablesMayDiffer) {
  compare({"embedding.tables.users.optimizer=adam", "embedding.tables.items.optimizer=sgd", "model.item_bias=true",
           "embedding.tables.items.learning_rate=0.5", "embedding.tables.users.weight_decay=0.1"},
          small_data());
}

TEST_F(BprStep, LeavesUsersWithEveryItemAlone) {
  compare({}, interactions({{0, 1, 2}}, 3));  // no step has a triplet
  const Trained trained = train(experiment(), interactions({{0, 1, 2}}, 3), true);
  EXPECT_TRUE(std::ranges::all_of(trained.losses, [](double loss) { return loss == 0; }));
}

TEST_F(BprStep, SumsPopularRowsInPiecesUnlessItMustBeExact) {
  // Each user has one of two items, so that a row has half of a batch's places.
  std::vector<std::vector<std::int64_t>> histories;
  for (std::int64_t user = 0; user < 2300; ++user) histories.push_back({user % 2});
  const Interactions data = interactions(histories, 2);
  const How how{.batch = 2300, .epochs = 2};
  const std::vector<std::string> plain{"embedding.optimizer=sgd", "embedding.learning_rate=20"},
      exact{plain[0], plain[1], "train.deterministic=true"};
  const Trained cpu = train(experiment(plain), data, false, how), device = train(experiment(plain), data, true, how);
  for (std::size_t s = 0; s < cpu.losses.size(); ++s)
    EXPECT_NEAR(cpu.losses[s], device.losses[s], 1e-6 * cpu.losses[s]);
  EXPECT_FALSE(cpu.arrays == device.arrays) << "no row was long enough";
  for (std::size_t a = 0; a < cpu.arrays.size(); ++a)
    for (std::size_t i = 0; i < cpu.arrays[a].size(); ++i)
      EXPECT_NEAR(cpu.arrays[a][i], device.arrays[a][i], 1e-4) << "array " << a;
  EXPECT_TRUE(cpu == train(experiment(exact), data, true, how));
}

TEST_F(BprStep, NeitherHintsNorGraphsNorADetourChangeABit) {
  const Interactions data = small_data();
  const std::vector<std::string> all{"embedding.optimizer=adam", "model.item_bias=true", "embedding.weight_decay=0.01"};
  const Trained straight = train(experiment(all), data, true);
  EXPECT_TRUE(straight == train(experiment(all), data, true, {.tells_next = false}));
  EXPECT_TRUE(straight == train(experiment(all), data, true, {.detours = true}));
  auto plain = all;
  plain.emplace_back("parallel.cuda_graphs=false");
  EXPECT_TRUE(straight == train(experiment(plain), data, true));
}

TEST_F(BprStep, ReplaysStepsOfASizeThatItKnows) {
  const auto rank = make_single_rank();
  const Interactions data = small_data();
  const Experiment from = experiment({"embedding.optimizer=adam"});
  const auto arrays_after = [&](bool records, std::int64_t& replayed) {
    const auto model = make_bpr_mf({from, data, *rank});
    const auto shards = model->embedding()->shards();
    const auto tables = model->embedding()->tables();
    const auto trainer =
        device_backend()->factors({.users = tables[0], .items = tables[1], .records_graphs = records}, 0);
    trainer->upload(shards);
    std::int64_t step = 0;
    // Growing, shrinking, nothing, and the sizes from before.
    for (const std::int64_t size : {4, 4, 4, 4, 9, 9, 4, 4, 0, 0, 9, 9, 9, 9, 9, 4, 4}) {
      std::vector<std::int64_t> users, positives, negatives;
      ++step;
      for (std::int64_t t = 0; t < size; ++t) {
        users.push_back((t * 5 + step) % tables[0].rows);
        positives.push_back((t + step) % tables[1].rows);
        negatives.push_back((t * 7 + step) % tables[1].rows);
      }
      trainer->stage(step, {users, positives, negatives, 0.25F});
      EXPECT_TRUE(trainer->is_staged(step));
      EXPECT_FALSE(trainer->is_staged(step + 2));
      trainer->start(step, 1.0 / static_cast<double>(step));
      EXPECT_FALSE(trainer->finish().bad_row);
    }
    replayed = trainer->replayed_steps();
    trainer->download(shards);
    std::vector<std::vector<float>> arrays;
    for (const TableShard& shard : shards) {
      arrays.emplace_back(shard.weights.begin(), shard.weights.end());
      arrays.emplace_back(shard.state.begin(), shard.state.end());
    }
    return arrays;
  };
  std::int64_t recorded = 0, launched = 0;
  EXPECT_EQ(arrays_after(true, recorded), arrays_after(false, launched));
  EXPECT_GE(recorded, 5);
  EXPECT_EQ(launched, 0);
}

TEST_F(BprStep, MarksTheRowsThatChanged) {
  const auto rank = make_single_rank();
  const Interactions data = interactions({{0}, {1}, {}}, 4);
  const Experiment from = experiment();
  const auto model = make_bpr_mf({from, data, *rank});
  for (TableShard& shard : model->embedding()->shards()) shard.changed.assign(shard.shard.rows, 0);
  model->use_device(0);
  model->train_step({.step = 1, .epoch = 0, .first = 0, .size = 2});
  model->fetch_from_device();
  EXPECT_EQ(model->embedding()->shards()[0].changed, (std::vector<std::uint8_t>{1, 1, 0}));
  EXPECT_GE(std::ranges::count(model->embedding()->shards()[1].changed, 1), 2);
}

TEST_F(BprStep, NumbersThatGoBadAreNamedAlike) {
  const auto error_of = [](const std::vector<std::string>& extra, bool on_device) {
    try {
      train(experiment(extra), small_data(), on_device);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::numbers);
      return error.message();
    }
    return std::string("nothing went bad");
  };
  // The first makes the loss infinite; with the second, finite losses have gradients that are not.
  for (const std::vector<std::string>& extra :
       {std::vector<std::string>{"embedding.optimizer=sgd", "embedding.learning_rate=1e25"},
        {"embedding.optimizer=sgd", "embedding.learning_rate=1e20", "embedding.weight_decay=1e19"}}) {
    const std::string on_cpu = error_of(extra, false);
    EXPECT_NE(on_cpu.find("not finite in step"), std::string::npos) << on_cpu;
    EXPECT_EQ(error_of(extra, true), on_cpu);
  }
}

TEST_F(BprStep, TakesADeviceOnlyWhereItCan) {
  const auto choice = [](const std::vector<std::string>& extra, int world = 1) {
    DeviceChoice chosen;
    run_ranks(world, [&](Communicator& ranks) {
      RankingSession session(experiment(extra), small_data(), ranks);
      DeviceChoice mine = choose_device_for_ranking(session.experiment, ranks);
      use_device_for_ranking(session, mine);
      if (ranks.rank() == 0) chosen = mine;
    });
    return chosen;
  };
  EXPECT_EQ(choice({}).name, "cuda: emulated device");
  EXPECT_EQ(choice({"parallel.device=cpu"}).name, "cpu");
  EXPECT_EQ(choice({}, 2).note, "device: cpu (bpr_mf trains on a device with one rank)");
  for (const char* refused : {"model.type=lightgcn", "train.precision=bf16", "parallel.wire=fp16",
                              "embedding.sharding=row_wise", "model.embedding_dim=1025"}) {
    const DeviceChoice on_cpu = choice({refused});
    EXPECT_EQ(on_cpu.name, "cpu") << refused;
    EXPECT_FALSE(on_cpu.on_device) << refused;
    EXPECT_NE(on_cpu.note.find("device: cpu ("), std::string::npos) << on_cpu.note;
    try {
      choice({refused, "parallel.device=cuda"});
      ADD_FAILURE() << refused << " was not refused";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage) << error.message();
      EXPECT_EQ(error.message().find('\n'), std::string::npos) << error.message();
    }
  }
  EXPECT_THROW(choice({"parallel.device=cuda"}, 2), Error);
}

TEST_F(BprStep, TablesThatDoNotFitAreRefused) {
  std::vector<TableShard> shards(1);
  shards[0].weights.resize(std::size_t{1} << 29);  // 2 GiB that nothing touches
  try {
    refuse_tables_that_do_not_fit(shards, 0, "use fewer users");
    ADD_FAILURE() << "they fit";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::resources);
    EXPECT_NE(error.message().find("need 2.00 GiB of device memory"), std::string::npos) << error.message();
  }
}

}  // namespace
}  // namespace swallowtail
