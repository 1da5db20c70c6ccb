// Tables that the emulated device holds only in part, in row caches over host memory: the bits of a training are those
// of the same training with the tables in the device's memory as a whole, whatever the caches' size.
#include <array>
#include <limits>

#include "tests/emulator/memory.h"
#include "tests/emulator/training/two_epochs.h"

namespace swallowtail {
namespace {

using testing::Outcome;
using testing::TwoEpochs;

class CachedStep : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { use_devices(); }

  /// Zipf ids, empty and long bags; a batch of 32 wants about 35, 7 and 30 rows.
  static Experiment experiment(std::vector<std::string> extra) {
    extra.insert(extra.begin(), {"parallel.device=cuda",
                                 "data.tables=[{rows: 300, pooling_factor: 2, fixed: false}, {rows: 7}, {rows: 900}]"});
    return testing::small_experiment(extra);
  }
  static std::string room(double bytes) { return fmt::format("parallel.device_table_mib={}", bytes / 0x1p20); }
  static std::int64_t cached_tables(const Outcome& outcome) { return std::ssize(outcome.caches); }

  static void expect_same(const Outcome& plain, const Outcome& cached) {
    EXPECT_EQ(plain.losses, cached.losses);
    EXPECT_EQ(plain.arrays, cached.arrays);
    EXPECT_EQ(plain.scores, cached.scores);
    EXPECT_EQ(plain.averaged_scores, cached.averaged_scores);
  }
  /// The same training with whole tables and, for each room, with caches.
  static void compare(const std::vector<std::string>& extra, const std::vector<double>& rooms,
                      const TwoEpochs& how = {}) {
    std::string words;
    for (const std::string& word : extra) words += word + " ";
    SCOPED_TRACE(words);
    const Outcome plain = testing::train_two_epochs(experiment(extra), how);
    EXPECT_EQ(cached_tables(plain), 0);
    EXPECT_EQ(plain.note, "device: cuda: emulated device, the whole step");
    for (const double bytes : rooms) {
      SCOPED_TRACE(fmt::format("room of {} bytes", bytes));
      auto with_room = extra;
      with_room.push_back(room(bytes));
      const Outcome cached = testing::train_two_epochs(experiment(with_room), how);
      EXPECT_GT(cached_tables(cached), 0);
      expect_same(plain, cached);
    }
  }
};

TEST_F(CachedStep, HasTheBitsOfWholeTablesWithEveryRowOptimizer) {
  for (const char* optimizer : {"sgd", "adagrad", "rowwise_adagrad", "adam", "adamw"})
    compare({std::string("embedding.optimizer=") + optimizer, "embedding.weight_decay=0.01"}, {60e3, 30e3});
}

TEST_F(CachedStep, HasThemInEveryRoomOrSaysThatABatchDoesNotFit) {
  const Outcome plain = testing::train_two_epochs(experiment({"train.average_decay=0.9"}), {});
  int trained = 0, refused = 0;
  std::int64_t most_tables = 0;
  for (const char* eviction : {"lfu", "lru"})
    for (double bytes = 150e3; bytes > 3e3; bytes /= 1.5) {
      SCOPED_TRACE(fmt::format("{}, room of {} bytes", eviction, bytes));
      try {
        const Outcome cached =
            testing::train_two_epochs(experiment({"train.average_decay=0.9", room(bytes),
                                                  std::string("parallel.device_cache_eviction=") + eviction}),
                                      {});
        expect_same(plain, cached);
        ++trained;
        most_tables = std::max(most_tables, cached_tables(cached));
        std::int64_t left = 0;
        for (const RowCacheUse& use : cached.caches) left += use.written_back;
        EXPECT_GT(left, 0);
      } catch (const Error& error) {
        ++refused;
        EXPECT_EQ(error.code(), ExitCode::resources) << error.message();
        EXPECT_NE(error.message().find("row cache"), std::string::npos) << error.message();
        EXPECT_NE(error.message().find("parallel.device_table_mib"), std::string::npos) << error.message();
      }
    }
  EXPECT_GE(trained, 8);
  EXPECT_GE(refused, 4);
  EXPECT_EQ(most_tables, 3);
}

TEST_F(CachedStep, NamesTheTableWhoseRowsDoNotFit) {
  try {
    testing::train_two_epochs(experiment({"data.tables=[{rows: 500}]", "data.id_distribution=uniform", room(4000)}),
                              {});
    FAIL() << "32 rows fit a cache of 16 or 32";
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("do not fit the row cache of table 't0' ("), std::string::npos) << error.message();
    EXPECT_NE(error.message().find("lower train.batch_size"), std::string::npos) << error.message();
  }
}

TEST_F(CachedStep, BringsRowsLateWhereTwoBatchesDoNotFit) {
  // About ten rows a batch, one set of sixteen.
  const std::vector<std::string> narrow{"data.tables=[{rows: 500}]", "data.id_distribution=uniform",
                                        "train.batch_size=10"};
  compare(narrow, {2000});
  auto skips = narrow;
  skips.emplace_back("train.on_nonfinite=skip");
  compare(skips, {2000});
}

TEST_F(CachedStep, HasThemInEveryPartOfTheModel) {
  const std::vector<double> rooms{100e3, 70e3};
  compare({"model.linear=true", "model.dropout=0.25", "train.average_decay=0.9", "train.optimizer=adam"}, rooms);
  compare({"model.interaction=cat", "model.pooling=mean", "model.embedding_dim=6"}, {25e3, 15e3});
  compare({"model.interaction=cross", "model.cross_layers=2"}, {60e3, 30e3});
  compare({"train.on_nonfinite=skip", "train.loss_scale=1024"}, {60e3, 30e3});
  compare({"train.precision=fp16", "embedding.optimizer=adam"}, rooms);
  compare({"train.average_decay=0.9"}, rooms, {.weighted = true});
}

TEST_F(CachedStep, GoesThroughTheHostWithoutAChange) {
  const std::vector<std::string> all{"train.average_decay=0.9", "embedding.optimizer=adam"};
  compare(all, {100e3, 50e3}, {.swap = true});
  // Saves in the middle of an epoch, with the next batch's rows on their way.
  compare(all, {100e3, 50e3}, {.after_step = [](Session& session, std::int64_t step) {
            if (step % 2 == 0) fetch_from_device(session);
          }});
}

TEST_F(CachedStep, EvaluatesBetweenTwoSteps) {
  std::vector<std::vector<double>> scores;
  const TwoEpochs how{.after_step = [&](Session& session, std::int64_t step) {
    if (step % 3 == 0) return;
    for (const bool averaged : {false, true})
      scores.push_back(score(session, *session.data.test, step, averaged).probabilities);
  }};
  const std::vector<std::string> all{"train.average_decay=0.9", "evaluation.batch_size=16"};
  const Outcome plain = testing::train_two_epochs(experiment(all), how);
  const auto plain_scores = std::exchange(scores, {});
  for (const double bytes : {100e3, 50e3}) {
    auto with_room = all;
    with_room.push_back(room(bytes));
    const Outcome cached = testing::train_two_epochs(experiment(with_room), how);
    EXPECT_GT(cached_tables(cached), 0);
    expect_same(plain, cached);
    EXPECT_EQ(plain_scores, std::exchange(scores, {}));
  }
}

TEST_F(CachedStep, EvaluatesRowsThatDriveThoseOfTheNextBatchOut) {
  const std::vector<std::string> uniform{"data.tables=[{rows: 900}]", "data.id_distribution=uniform",
                                         "evaluation.batch_size=20"};
  compare(uniform, {10e3, 6e3},
          {.after_step = [](Session& session, std::int64_t step) { score(session, *session.data.test, step, false); }});
}

TEST_F(CachedStep, ReplaysRecordedSteps) {
  const std::vector<std::string> one_hot{"data.tables=[{rows: 300}, {rows: 70}]", room(12e3)};
  auto launched_one_by_one = one_hot;
  launched_one_by_one.emplace_back("parallel.cuda_graphs=false");
  const Outcome recorded = testing::train_two_epochs(experiment(one_hot), {}),
                launched = testing::train_two_epochs(experiment(launched_one_by_one), {});
  EXPECT_GT(cached_tables(recorded), 0);
  EXPECT_GT(recorded.replayed, 2);
  EXPECT_EQ(launched.replayed, 0);
  expect_same(launched, recorded);
}

/// The automatic choice: what the device has decides, and what is planned fits it, whatever the model and its batches.
TEST_F(CachedStep, TrainsWithAllThatASmallDeviceHas) {
  std::size_t& device_bytes = emulator::device_bytes();
  const std::size_t before = device_bytes;
  for (std::vector<std::string> extra : {
           std::vector<std::string>{},
           {"train.average_decay=0.9", "train.optimizer=adam", "embedding.optimizer=adam"},
           {"train.precision=bf16", "model.linear=true", "train.batch_size=50"},
           {"model.top_mlp=[200, 100]", "model.embedding_dim=6", "evaluation.batch_size=40"},
           {"model.interaction=cross", "model.cross_layers=4", "train.batch_size=50"},
       }) {
    extra.emplace_back("data.tables=[{rows: 300, pooling_factor: 2, fixed: false}, {rows: 7}, {rows: 6000}]");
    std::string words;
    for (const std::string& word : extra) words += word + " ";
    SCOPED_TRACE(words);
    const Outcome plain = testing::train_two_epochs(experiment(extra), {});
    int trained = 0;
    for (double bytes = 2.5e6; bytes > 1.5e5; bytes /= 1.35) {
      device_bytes = emulator::bytes_in_use() + static_cast<std::size_t>(bytes);
      SCOPED_TRACE(fmt::format("a device of {} bytes", bytes));
      try {
        const Outcome cached = testing::train_two_epochs(experiment(extra), {});
        expect_same(plain, cached);
        trained += cached_tables(cached) > 0 ? 1 : 0;
        if (cached_tables(cached) > 0) {
          EXPECT_NE(cached.note.find("; rows in host memory, cached on the device: '"), std::string::npos);
          EXPECT_NE(cached.note.find("'t2' ("), std::string::npos) << cached.note;
        }
      } catch (const Error& error) {  // planned, not run into
        EXPECT_NE(error.message().find("row cache"), std::string::npos) << error.message();
      }
      device_bytes = before;
    }
    EXPECT_GE(trained, 1);
  }
}

TEST_F(CachedStep, RefusesAsBeforeWhereCachesAreOff) {
  std::size_t& device_bytes = emulator::device_bytes();
  const std::size_t before = std::exchange(device_bytes, emulator::bytes_in_use() + 50'000);
  try {
    testing::train_two_epochs(experiment({"parallel.device_table_mib=0"}), {});
    ADD_FAILURE() << "82 kB of tables fit 50 kB";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::resources);
    EXPECT_NE(error.message().find("the embedding tables need"), std::string::npos) << error.message();
  }
  device_bytes = before;
  EXPECT_EQ(cached_tables(testing::train_two_epochs(experiment({"parallel.device_table_mib=0"}), {})), 0);
}

/// Three steps, each with the next batch on its way; the second is bad and skipped.
testing::Arrays arrays_after_a_skipped_step(const Experiment& experiment) {
  testing::Arrays arrays;
  run_ranks(1, [&](Communicator& ranks) {
    Session session(experiment, testing::small_data(experiment), ranks, choose_device(experiment, ranks));
    PhaseClock clock;
    std::array<Batch, 3> batches;
    for (std::size_t i = 0; i < batches.size(); ++i)
      testing::read_part(session, 32 * static_cast<std::int64_t>(i), 32, batches[i]);
    batches[1].dense[5] = std::numeric_limits<float>::infinity();
    for (std::size_t i = 0; i < batches.size(); ++i) {
      StepInput input{batches[i], 32, static_cast<std::int64_t>(i) + 1, 1.0};
      if (i + 1 < batches.size()) input.next.emplace(NextBatch{batches[i + 1], 32});
      EXPECT_EQ(train_step(session, input, clock).skipped, i == 1);
    }
    fetch_from_device(session);
    testing::keep_all(arrays, session);
  });
  return arrays;
}

TEST_F(CachedStep, SkipsABadStepWhoseRowsWereBrought) {
  const std::string skip = "train.on_nonfinite=skip";
  const testing::Arrays plain = arrays_after_a_skipped_step(experiment({skip}));
  for (const double bytes : {60e3, 30e3})
    EXPECT_EQ(plain, arrays_after_a_skipped_step(experiment({skip, room(bytes)}))) << bytes;
}

/// Trains one step on a row that only its decay makes bad; gives the error.
std::string error_of_a_bad_row(const Experiment& experiment, std::int64_t& row) {
  std::string message;
  run_ranks(1, [&](Communicator& ranks) {
    Session session(experiment, testing::small_data(experiment), ranks, choose_device(experiment, ranks));
    PhaseClock clock;
    Batch batch;
    testing::read_part(session, 0, 32, batch, true);
    JaggedIds& ids = batch.ids[2];
    row = ids.values[7];
    for (std::size_t i = 0; i < ids.values.size(); ++i)
      if (ids.values[i] == row) ids.weights[i] = 0;
    TableShard& shard = session.embedding.shards()[2];
    shard.weights[static_cast<std::size_t>(row * shard.shard.cols)] = 1e30F;
    send_to_device(session);
    try {
      train_step(session, {batch, 32, 1, 1.0}, clock);
    } catch (const Error& error) {
      message = error.message();
    }
  });
  return message;
}

TEST_F(CachedStep, NamesABadRowByItsPlaceInTheTable) {
  std::int64_t row = 0;
  const std::vector<std::string> decay{"embedding.weight_decay=1e10"};
  const std::string plain = error_of_a_bad_row(experiment(decay), row);
  EXPECT_NE(plain.find(fmt::format("table 't2' row {}", row)), std::string::npos) << plain;
  EXPECT_EQ(error_of_a_bad_row(experiment({decay[0], room(40e3)}), row), plain);
}

/// Two steps; every row that has other bits than before must be marked, and none that no batch wanted.
void expect_marks(const Experiment& experiment) {
  run_ranks(1, [&](Communicator& ranks) {
    Session session(experiment, testing::small_data(experiment), ranks, choose_device(experiment, ranks));
    ASSERT_FALSE(session.device->row_caches().empty());
    PhaseClock clock;
    Batch batch;
    const std::vector<TableShard> before(session.embedding.shards().begin(), session.embedding.shards().end());
    std::int64_t wanted = 0, marked = 0;
    for (std::int64_t step = 1; step <= 2; ++step) {
      testing::read_part(session, 32 * (step - 1), 32, batch);
      for (const JaggedIds& ids : batch.ids) wanted += std::ssize(ids.values);
      train_step(session, {batch, 32, step, 1.0}, clock);
    }
    session.device->settle(9);  // moves the averages of trained rows on
    fetch_from_device(session);
    for (std::size_t t = 0; t < before.size(); ++t) {
      const TableShard& after = session.embedding.shards()[t];
      const auto row_of = [&](const TableVector<float>& values, std::size_t row) {
        const std::size_t width = values.size() / after.changed.size();
        return std::span(values).subspan(row * width, width);
      };
      for (std::size_t row = 0; row < after.changed.size(); ++row) {
        marked += after.changed[row];
        const bool same = std::ranges::equal(row_of(after.weights, row), row_of(before[t].weights, row)) &&
                          std::ranges::equal(row_of(after.average, row), row_of(before[t].average, row)) &&
                          std::ranges::equal(row_of(after.state, row), row_of(before[t].state, row));
        EXPECT_TRUE(same || after.changed[row] == 1) << "table " << t << " row " << row;
      }
    }
    EXPECT_GT(marked, 0);
    EXPECT_LE(marked, wanted);
  });
}

TEST_F(CachedStep, MarksRowsThatChanged) {
  expect_marks(experiment({"checkpoint.incremental=true", room(50e3)}));
  expect_marks(experiment({"checkpoint.incremental=true", "train.average_decay=0.9", room(80e3)}));
}

}  // namespace
}  // namespace swallowtail
