#include "trainer/checkpoint/checkpoint.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <numeric>

#include "parallel/error.h"
#include "parallel/local_communicator.h"

namespace swallowtail {
namespace {

namespace fs = std::filesystem;

class CheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* const test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() / (std::string("swallowtail-") + test->name() + "-" + std::to_string(getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  /// Rank r of `world_size` saves tensor "t<r>" with values that tell step and rank; the last rank has none.
  void save(std::int64_t step, int world_size) const {
    run_ranks(world_size, [&](Communicator& ranks) {
      std::vector<float> values(100 + ranks.rank());
      std::iota(values.begin(), values.end(), static_cast<float>(1000 * step + ranks.rank()));
      std::vector<TensorRef> mine;
      if (ranks.rank() + 1 < world_size || world_size == 1)
        mine.push_back({"t" + std::to_string(ranks.rank()),
                        "F32",
                        {static_cast<std::int64_t>(values.size())},
                        std::as_bytes(std::span(values))});
      save_checkpoint(folder_, step, {{"step", step}}, mine, ranks);
    });
  }
  static std::vector<float> tensor(const Checkpoint& checkpoint, int rank) {
    std::vector<float> values(100 + rank);
    checkpoint.read("t" + std::to_string(rank), std::as_writable_bytes(std::span(values)));
    return values;
  }
  fs::path shard(std::int64_t step, int rank) const {
    return folder_ / ("step-" + std::to_string(step)) / ("rank-0000" + std::to_string(rank) + ".safetensors");
  }
  static void flip(const fs::path& path, std::streamoff at) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(at);
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(at);
    file.put(byte);
  }
  /// The message of the error that opening `step` gives.
  std::string damage(std::int64_t step) const {
    try {
      Checkpoint::open(folder_, step);
      return "";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::damaged);
      return error.message();
    }
  }
  fs::path folder_;
};

TEST_F(CheckpointTest, GivesBackWhatEveryRankSaved) {
  save(7, 4);
  const Checkpoint checkpoint = Checkpoint::open(folder_, 7);
  EXPECT_EQ(checkpoint.state().at("step"), 7);
  for (int rank = 0; rank < 3; ++rank) {
    const auto values = tensor(checkpoint, rank);
    EXPECT_EQ(values.front(), 7000 + rank);
    EXPECT_EQ(values.back(), 7000 + rank + 99 + rank);
  }
  EXPECT_FALSE(checkpoint.has("t3"));
  std::vector<float> wrong_size(99);
  EXPECT_THROW(checkpoint.read("t0", std::as_writable_bytes(std::span(wrong_size))), Error);
  EXPECT_FALSE(fs::exists(folder_ / "step-7.partial"));
}

TEST_F(CheckpointTest, EveryFlippedBitIsFound) {
  save(1, 2);
  const auto size = static_cast<std::streamoff>(fs::file_size(shard(1, 0)));
  for (std::streamoff at = 0; at < size; at += 37) {
    flip(shard(1, 0), at);
    EXPECT_NE(damage(1).find("SHA-256"), std::string::npos) << "byte " << at;
    flip(shard(1, 0), at);
  }
  EXPECT_EQ(damage(1), "");
}

TEST_F(CheckpointTest, TruncationAbsenceAndSwapsAreNamed) {
  save(1, 3);
  save(2, 3);
  fs::resize_file(shard(1, 0), fs::file_size(shard(1, 0)) - 1);
  EXPECT_NE(damage(1).find("rank-00000.safetensors"), std::string::npos);
  fs::copy_file(shard(1, 1), shard(2, 1), fs::copy_options::overwrite_existing);
  EXPECT_NE(damage(2).find("rank-00001.safetensors"), std::string::npos);
  fs::remove(shard(2, 1));
  EXPECT_NE(damage(2).find("missing"), std::string::npos);
  std::ofstream(folder_ / "step-1" / "manifest.json") << "{";
  EXPECT_NE(damage(1).find("manifest"), std::string::npos);
}

TEST_F(CheckpointTest, TheManifestLeadsNowhereElse) {
  save(1, 1);
  std::ifstream in(folder_ / "step-1" / "manifest.json");
  std::string text((std::istreambuf_iterator<char>(in)), {});
  const auto at = text.find("rank-00000.safetensors");
  text.replace(at, std::string("rank-00000.safetensors").size(), "../step-1/rank-00000.safetensors");
  std::ofstream(folder_ / "step-1" / "manifest.json") << text;
  EXPECT_NE(damage(1).find("outside"), std::string::npos);
}

TEST_F(CheckpointTest, FallsBackToTheNewestGoodOne) {
  for (const std::int64_t step : {5, 10, 15}) save(step, 2);
  fs::create_directories(folder_ / "step-20.partial");
  flip(shard(15, 0), 300);
  std::vector<std::string> complaints;
  const auto checkpoint = Checkpoint::newest_good(folder_, complaints);
  ASSERT_TRUE(checkpoint);
  EXPECT_EQ(checkpoint->step(), 10);
  ASSERT_EQ(complaints.size(), 1U);
  EXPECT_NE(complaints[0].find("step-15"), std::string::npos);
}

TEST_F(CheckpointTest, RetiresTheOldestButNotTheSpared) {
  for (const std::int64_t step : {1, 2, 3, 4, 5}) save(step, 1);
  retire_checkpoints(folder_, 2, 1);
  EXPECT_EQ(checkpoint_steps(folder_), (std::vector<std::int64_t>{1, 4, 5}));
}

TEST_F(CheckpointTest, AFailedSaveIsToldOnEveryRankAndLeavesTheOlderOnes) {
  save(1, 2);
  const fs::path file = folder_ / "file";  // root may write anywhere, but not below a file
  std::ofstream(file) << "x";
  run_ranks(2, [&](Communicator& ranks) {
    try {
      save_checkpoint(file, 2, {}, {}, ranks);
      ADD_FAILURE() << "a checkpoint was saved under a file";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::resources);
    }
  });
  EXPECT_EQ(damage(1), "");
}

}  // namespace
}  // namespace swallowtail
