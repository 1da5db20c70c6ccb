#include "trainer/checkpoint/writer.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <thread>

#include "tests/unit/checkpoint/checkpoint_fixture.h"
#include "tests/unit/report/full_disk.h"

namespace swallowtail {
namespace {

namespace fs = std::filesystem;

class CheckpointWriterTest : public CheckpointTest {
 protected:
  static std::map<std::string, std::string> files_of(const fs::path& folder) {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(folder)) files[entry.path().filename()] = read_text(entry.path());
    return files;
  }
};

TEST_F(CheckpointWriterTest, BehindTheTrainingIsBitwiseAsAtOnce) {
  constexpr std::int64_t kCount = kBlockBytes / 4 + 777;
  for (const bool async : {false, true})
    run_ranks(3, [&](Communicator& ranks) {
      std::vector<float> values(kCount);
      const TablePiece piece{fmt::format("table{}", ranks.rank()), "weights", kCount, 1, true, {0, 0, kCount, 0, 1}};
      const std::vector<TensorRef> mine{
          {fmt::format("big{}", ranks.rank()), "F32", {kCount, 1}, std::as_bytes(std::span(values)), piece},
          {fmt::format("small{}", ranks.rank()), "F32", {3}, std::as_bytes(std::span(values)).first(12)}};
      CheckpointWriter writer(temporary_ / (async ? "behind" : "at once"), ranks, {.async = async});
      std::optional<SaveResult> before;
      for (const std::int64_t step : {1, 2, 3, 4}) {
        std::ranges::copy(values_of(step, ranks.rank(), kCount), values.begin());
        before = writer.start({step, {{"step", step}}}, mine);
        EXPECT_EQ(before.has_value(), step == 2 || step == 4) << step;
        if (before) {
          EXPECT_EQ(before->step, step - 1);
        }
        std::ranges::fill(values, -1.0F);  // training goes on
        if (step != 2) continue;
        const auto result = writer.join();
        ASSERT_TRUE(result);
        EXPECT_FALSE(result->error);
        EXPECT_EQ(result->step, 2);
      }
      writer.join();
      EXPECT_FALSE(writer.join());
      EXPECT_EQ(writer.copy_bytes() > 0, async);
    });
  for (const std::int64_t step : {1, 2, 3, 4})
    EXPECT_EQ(files_of(checkpoint_folder(temporary_ / "behind", step)),
              files_of(checkpoint_folder(temporary_ / "at once", step)))
        << step;
}

TEST_F(CheckpointWriterTest, IsPublishedWithoutWaitingForTheNextSave) {
  std::mutex mutex;
  std::vector<std::int64_t> published;
  run_ranks(3, [&](Communicator& ranks) {
    CheckpointWriter writer(folder(), ranks, {.async = true, .published = [&](const SaveRecord& record, const auto&) {
                                                const std::scoped_lock lock(mutex);
                                                published.push_back(record.step);
                                              }});
    const std::vector<float> values(10, 1.0F);
    const std::vector<TensorRef> mine{
        {fmt::format("t{}", ranks.rank()), "F32", {10}, std::as_bytes(std::span(values))}};
    writer.start({4, {}}, mine);
    // Nobody calls join(): the threads alone bring it to an end.
    for (int waits = 0; waits < 1000 && !fs::exists(step_folder(4)); ++waits)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_TRUE(fs::exists(step_folder(4)));
    const auto result = writer.join();
    ASSERT_FALSE(result->error) << result->error->message();
    EXPECT_EQ(result->digest, Checkpoint::open(folder(), 4).digest());
  });
  EXPECT_EQ(published, std::vector<std::int64_t>{4});
  EXPECT_EQ(damage(4), "");
}

TEST_F(CheckpointWriterTest, AFullDiskIsToldOnEveryRankAndTheNextSaveWorks) {
  for (const bool async : {false, true}) {
    run_ranks(2, [&](Communicator& ranks) {
      const std::vector<float> values(1 << 20, 1.0F);
      const std::vector<TensorRef> mine{
          {fmt::format("t{}", ranks.rank()), "F32", {1 << 20}, std::as_bytes(std::span(values))}};
      CheckpointWriter writer(folder(), ranks, {.async = async});
      std::optional<SaveResult> result;
      {
        std::optional<FullDisk> full;
        if (ranks.rank() == 0) full.emplace(100000);
        ranks.barrier(Tag{"full", 0});
        writer.start({1, {}}, mine);
        result = writer.join();
        ranks.barrier(Tag{"free", 0});
      }
      ranks.barrier(Tag{"freed", 0});
      ASSERT_TRUE(result && result->error);
      EXPECT_EQ(result->error->code(), ExitCode::resources);
      EXPECT_NE(result->error->message().find("the checkpoint was not saved: cannot write"), std::string::npos)
          << result->error->message();
      writer.start({2, {}}, mine);
      EXPECT_FALSE(writer.join()->error);
    });
    EXPECT_EQ(checkpoint_steps(folder()), std::vector<std::int64_t>{2});
    EXPECT_EQ(std::distance(fs::directory_iterator(folder()), {}), 1) << "the partial folder is gone";
  }
}

}  // namespace
}  // namespace swallowtail
