#include "trainer/checkpoint/checkpoint.h"

#include "tests/unit/checkpoint/checkpoint_fixture.h"
#include "trainer/checkpoint/retention.h"

namespace swallowtail {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kRowsOfThreeBlocks = 3 * kBlockBytes / 64 - 5;  // the last block is not full

TEST_F(CheckpointTest, GivesBackWhatEveryRankSaved) {
  save(7, 4);
  const Checkpoint checkpoint = Checkpoint::open(folder(), 7);
  EXPECT_EQ(checkpoint.state().at("step"), 7);
  for (int rank = 0; rank < 3; ++rank)
    EXPECT_EQ(tensor(checkpoint, fmt::format("t{}", rank)), values_of(7, rank, size_of(rank)));
  EXPECT_FALSE(checkpoint.has("t3"));
  std::vector<float> wrong_size(99);
  EXPECT_THROW(checkpoint.read("t0", std::as_writable_bytes(std::span(wrong_size))), Error);
  EXPECT_THROW(checkpoint.read("t3", std::as_writable_bytes(std::span(wrong_size))), Error);
  EXPECT_FALSE(fs::exists(step_folder(7).string() + ".partial"));
}

TEST_F(CheckpointTest, LargeArraysComeBackWholeAndInParts) {
  for (const Compression compression : {Compression::none, Compression::zstd}) {
    const std::int64_t step = compression == Compression::none ? 1 : 2;
    save(step, 2, kRowsOfThreeBlocks, {compression});
    const Checkpoint checkpoint = Checkpoint::open(folder(), step);
    const auto wanted = values_of(step, 0, kRowsOfThreeBlocks * kDim);
    EXPECT_EQ(tensor(checkpoint, "big0"), wanted);
    EXPECT_EQ(checkpoint.manifest().files.size(), 2U);
    EXPECT_EQ(checkpoint.manifest().files[1].compression, compression);
    const TensorEntry& entry = checkpoint.manifest().tensors.at("big0");
    for (const std::int64_t from : {std::int64_t{0}, kBlockBytes - 8, kBlockBytes, 2 * kBlockBytes + 4})
      for (const std::int64_t size :
           {std::int64_t{0}, std::int64_t{4}, std::int64_t{4096}, kBlockBytes, kBlockBytes + 12}) {
        if (from + size > entry.shape.bytes()) continue;
        std::vector<float> part(static_cast<std::size_t>(size / 4));
        checkpoint.read(entry, from, std::as_writable_bytes(std::span(part)));
        EXPECT_TRUE(std::equal(part.begin(), part.end(), wanted.begin() + from / 4)) << from << " " << size;
      }
    EXPECT_GE(checkpoint.verify(2), static_cast<std::int64_t>(fs::file_size(shard(step, 0))));
    EXPECT_EQ(fs::exists(step_folder(step) / "rank-00000.blocks"), compression == Compression::none);
  }
  EXPECT_LT(fs::file_size(step_folder(2) / "rank-00000.blocks.zst"),
            fs::file_size(step_folder(1) / "rank-00000.blocks"));
}

TEST_F(CheckpointTest, LargeArraysComeFrontToBackInPiecesOfAnySize) {
  for (const Compression compression : {Compression::none, Compression::zstd}) {
    const std::int64_t step = compression == Compression::none ? 1 : 2;
    save(step, 2, kRowsOfThreeBlocks, {compression});
    const Checkpoint checkpoint = Checkpoint::open(folder(), step);
    const auto wanted = values_of(step, 0, kRowsOfThreeBlocks * kDim);
    const TensorEntry& entry = checkpoint.manifest().tensors.at("big0");
    for (const std::int64_t from : {std::int64_t{0}, std::int64_t{20}, kBlockBytes - 4, 2 * kBlockBytes})
      for (const std::int64_t at_once : {kBlockBytes / 4 + 4, std::int64_t{99996}, 2 * kBlockBytes}) {
        const std::int64_t bytes = entry.shape.bytes() - from - 8;
        BlockReader::Stream stream = checkpoint.stream(entry, from, bytes);
        std::vector<float> found(static_cast<std::size_t>(bytes / 4));
        auto rest = std::as_writable_bytes(std::span(found));
        while (!rest.empty()) {
          const std::size_t part = std::min(rest.size(), static_cast<std::size_t>(at_once));
          stream.next(rest.first(part));
          rest = rest.subspan(part);
        }
        EXPECT_TRUE(std::equal(found.begin(), found.end(), wanted.begin() + from / 4)) << from << " " << at_once;
        std::byte more{};
        EXPECT_THROW(stream.next({&more, 1}), Error);
      }
  }
}

TEST_F(CheckpointTest, AStreamFindsDamageInTheWholeOfABlockThatItTouches) {
  save(1, 2, kRowsOfThreeBlocks);
  const fs::path blocks = step_folder(1) / "rank-00000.blocks";
  for (const std::int64_t at : {std::int64_t{0}, kBlockBytes / 2, kBlockBytes - 1}) {
    flip(blocks, at);
    const Checkpoint checkpoint = Checkpoint::open(folder(), 1);
    const TensorEntry& entry = checkpoint.manifest().tensors.at("big0");
    std::vector<std::byte> part(static_cast<std::size_t>(kBlockBytes / 4));
    BlockReader::Stream touched = checkpoint.stream(entry, kBlockBytes / 2, kBlockBytes / 4);
    EXPECT_THROW(touched.next(part), Error) << at;
    checkpoint.stream(entry, kBlockBytes, kBlockBytes / 4).next(part);  // the block beside it
    flip(blocks, at);
  }
}

TEST_F(CheckpointTest, EveryFlippedBitIsFoundAndItsBlockNamed) {
  save(1, 2, kRowsOfThreeBlocks);
  const auto size = static_cast<std::streamoff>(fs::file_size(shard(1, 0)));
  for (std::streamoff at = 0; at < size; at += 37) {
    flip(shard(1, 0), at);
    EXPECT_NE(damage(1).find("block 0 of the file has CRC32C"), std::string::npos) << "byte " << at;
    EXPECT_THROW(Checkpoint::open(folder(), 1).verify(2), Error);
    flip(shard(1, 0), at);
  }
  const fs::path blocks = step_folder(1) / "rank-00000.blocks";
  flip(blocks, kBlockBytes + 5);
  EXPECT_NE(damage(1).find("block 1 of the file has CRC32C"), std::string::npos);
  flip(blocks, kBlockBytes + 5);
  for (const std::string_view name : {kManifestName, kSumsName}) {
    const fs::path path = step_folder(1) / name;
    for (std::streamoff at = 0; at < std::min<std::streamoff>(70, static_cast<std::streamoff>(fs::file_size(path)));
         ++at) {
      flip(path, at);
      EXPECT_NE(damage(1), "") << name << " byte " << at;
      flip(path, at);
    }
  }
  EXPECT_EQ(damage(1), "");
}

TEST_F(CheckpointTest, TruncationAbsenceSwapsAndLinksAreNamed) {
  save(1, 3);
  save(2, 3);
  fs::resize_file(shard(1, 0), fs::file_size(shard(1, 0)) - 1);
  EXPECT_NE(damage(1).find("rank-00000.safetensors"), std::string::npos);
  fs::copy_file(shard(1, 1), shard(2, 1), fs::copy_options::overwrite_existing);
  EXPECT_NE(damage(2).find("rank-00001.safetensors"), std::string::npos);
  fs::remove(shard(2, 1));
  EXPECT_NE(damage(2).find("missing"), std::string::npos);
  fs::create_symlink(shard(1, 1), shard(2, 1));
  EXPECT_NE(damage(2).find("link"), std::string::npos);
  std::ofstream(step_folder(1) / "manifest.json") << "{";
  EXPECT_NE(damage(1).find("manifest.json"), std::string::npos);
  fs::remove(step_folder(1) / kSumsName);
  EXPECT_NE(damage(1).find("SHA256SUMS"), std::string::npos);
}

TEST_F(CheckpointTest, TwoShardsThatChangePlacesAreNamed) {
  save(1, 3, 10);  // both ranks' files have the same size but for their own numbers
  fs::rename(shard(1, 0), step_folder(1) / "x");
  fs::rename(shard(1, 1), shard(1, 0));
  fs::rename(step_folder(1) / "x", shard(1, 1));
  EXPECT_NE(damage(1).find("rank-00000.safetensors"), std::string::npos);
}

TEST_F(CheckpointTest, AnotherStepUnderThisNameIsNamed) {
  save(1, 1);
  fs::rename(step_folder(1), step_folder(5));
  EXPECT_NE(damage(5).find("that of step 1"), std::string::npos);
}

TEST_F(CheckpointTest, FallsBackToTheNewestGoodOneOnAllRanks) {
  for (const std::int64_t step : {5, 10, 15}) save(step, 3);
  fs::create_directories(step_folder(20).string() + ".partial");
  flip(shard(15, 1), 300);  // only rank 1 reads this file
  run_ranks(2, [&](Communicator& ranks) {
    const auto restore = [&](const Checkpoint& checkpoint) { tensor(checkpoint, fmt::format("t{}", ranks.rank())); };
    std::vector<std::string> complaints;
    try {
      restore_newest(folder(), ranks, restore, complaints, {.strict = true});
      ADD_FAILURE() << "strict took a damaged checkpoint";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::damaged);
      EXPECT_NE(error.where().find("step-15/rank-00001"), std::string::npos) << error.message();
    }
    const auto checkpoint = restore_newest(folder(), ranks, restore, complaints);
    ASSERT_TRUE(checkpoint);
    EXPECT_EQ(checkpoint->step(), 10);
    ASSERT_EQ(complaints.size(), 1U);
    EXPECT_NE(complaints[0].find("step-15"), std::string::npos);
    EXPECT_NE(complaints[0].find("block 0"), std::string::npos);
  });
  EXPECT_EQ(checkpoint_steps(folder()), (std::vector<std::int64_t>{5, 10}));
  EXPECT_TRUE(fs::exists(step_folder(15).string() + ".damaged"));
}

TEST_F(CheckpointTest, NoGoodOneIsAnErrorAndNoneAtAllIsAStart) {
  const auto ranks = make_single_rank();
  std::vector<std::string> complaints;
  const auto restore = [](const Checkpoint& checkpoint) { tensor(checkpoint, "t0"); };
  EXPECT_FALSE(restore_newest(folder(), *ranks, restore, complaints));
  save(1, 1);
  flip(shard(1, 0), 200);
  EXPECT_THROW(restore_newest(folder(), *ranks, restore, complaints), Error);
  EXPECT_TRUE(fs::exists(step_folder(1))) << "nothing is set aside when nothing is left";
}

TEST_F(CheckpointTest, RetiresTheOldestButNeitherTheSparedNorTheOneBeingRead) {
  for (const std::int64_t step : {1, 2, 3, 4, 5, 6}) save(step, 1);
  {
    const Checkpoint reader = Checkpoint::open(folder(), 2);
    EXPECT_EQ(retire_checkpoints(folder(), 2, {1}), 2);
    EXPECT_EQ(checkpoint_steps(folder()), (std::vector<std::int64_t>{1, 2, 5, 6}));
    EXPECT_EQ(tensor(reader, "t0"), values_of(2, 0, size_of(0)));
  }
  EXPECT_EQ(retire_checkpoints(folder(), 2, {1}), 1);
  EXPECT_EQ(checkpoint_steps(folder()), (std::vector<std::int64_t>{1, 5, 6}));
}

TEST_F(CheckpointTest, AFailedSaveIsToldOnEveryRankAndLeavesTheOlderOnes) {
  save(1, 2);
  const fs::path file = temporary_ / "file";  // root may write anywhere, but not below a file
  std::ofstream(file) << "x";
  run_ranks(2, [&](Communicator& ranks) {
    try {
      save_checkpoint(file, {2, {}}, {}, ranks);
      ADD_FAILURE() << "a checkpoint was saved under a file";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::resources);
    }
  });
  EXPECT_EQ(damage(1), "");
}

TEST_F(CheckpointTest, ASaveTakesThePlaceOfAnOlderOneOfItsStep) {
  save(3, 2);
  const std::string before = Checkpoint::open(folder(), 3).digest();
  save(3, 4);
  EXPECT_EQ(damage(3), "");
  EXPECT_NE(Checkpoint::open(folder(), 3).digest(), before);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder()), {}), 1) << "the old one is gone";
}

TEST_F(CheckpointTest, OneStepSavedTwiceHasTheSameBytes) {
  save(3, 2);
  const std::string digest = Checkpoint::open(folder(), 3).digest();
  save(3, 2);
  EXPECT_EQ(Checkpoint::open(folder(), 3).digest(), digest);
}

}  // namespace
}  // namespace swallowtail
