// A folder with checkpoints of a few ranks whose values tell step, rank and place.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <numeric>

#include "parallel/error.h"
#include "parallel/local_communicator.h"
#include "tests/unit/report/temporary_folder.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/checkpoint/writer.h"

namespace swallowtail {

class CheckpointTest : public ::testing::Test {
 protected:
  /// Rank r saves tensor "t<r>" [size_of(r)], small, and a table array "big<r>" of `big_rows` rows, large where that is
  /// many. The last of several ranks has none.
  void save(std::int64_t step, int world_size, std::int64_t big_rows = 0, SaveOptions options = {}) const {
    run_ranks(world_size, [&](Communicator& ranks) {
      const int rank = ranks.rank();
      std::vector<float> values = values_of(step, rank, size_of(rank)), big = values_of(step, rank, big_rows * kDim);
      std::vector<TensorRef> mine;
      if (rank + 1 < world_size || world_size == 1) {
        mine.push_back({fmt::format("t{}", rank), "F32", {size_of(rank)}, std::as_bytes(std::span(values))});
        if (big_rows > 0)
          mine.push_back({fmt::format("big{}", rank),
                          "F32",
                          {big_rows, kDim},
                          std::as_bytes(std::span(big)),
                          TablePiece{fmt::format("table{}", rank), "weights", big_rows, kDim, false,
                                     Shard{rank, 0, big_rows, 0, kDim}}});
      }
      save_checkpoint(folder(), {step, {{"step", step}}}, mine, ranks, options);
    });
  }
  static std::int64_t size_of(int rank) { return 100 + rank; }
  static std::vector<float> values_of(std::int64_t step, int rank, std::int64_t count) {
    std::vector<float> values(static_cast<std::size_t>(count));
    std::iota(values.begin(), values.end(), static_cast<float>(1000 * step + rank));
    return values;
  }
  static std::vector<float> tensor(const Checkpoint& checkpoint, const std::string& name) {
    std::vector<float> values(static_cast<std::size_t>(checkpoint.manifest().tensors.at(name).shape.bytes()) / 4);
    checkpoint.read(name, std::as_writable_bytes(std::span(values)));
    return values;
  }

  std::filesystem::path folder() const { return temporary_ / "checkpoints"; }
  std::filesystem::path step_folder(std::int64_t step) const { return checkpoint_folder(folder(), step); }
  std::filesystem::path shard(std::int64_t step, int rank) const {
    return step_folder(step) / fmt::format("rank-{:05}.safetensors", rank);
  }
  static void flip(const std::filesystem::path& path, std::streamoff at) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(at);
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(at);
    file.put(byte);
  }
  /// The message of the error that reading all of `step` gives.
  std::string damage(std::int64_t step) const {
    try {
      const Checkpoint checkpoint = Checkpoint::open(folder(), step);
      for (const auto& [name, entry] : checkpoint.manifest().tensors) tensor(checkpoint, name);
      return "";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::damaged);
      return error.message();
    }
  }

  static constexpr std::int64_t kDim = 16;
  TemporaryFolder temporary_;
};

}  // namespace swallowtail
