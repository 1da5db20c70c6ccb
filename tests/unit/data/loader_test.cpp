#include "trainer/data/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "parallel/error.h"

namespace swallowtail {
namespace {

/// Sample i has label i; sample `bad` cannot be read.
class Numbers final : public Dataset {
 public:
  explicit Numbers(std::int64_t size, std::int64_t bad = -1) : size_(size), bad_(bad) {}
  const DataShape& shape() const noexcept override { return shape_; }
  std::int64_t size() const noexcept override { return size_; }
  void read(std::span<const std::int64_t> samples, Batch& out) const override {
    out.size = static_cast<std::int64_t>(samples.size());
    out.samples.assign(samples.begin(), samples.end());
    out.labels.assign(samples.begin(), samples.end());
    if (std::ranges::count(samples, bad_)) throw Error{ExitCode::data, "bad sample"};
  }
  std::string origin(std::int64_t) const override { return {}; }

 private:
  DataShape shape_;
  std::int64_t size_, bad_;
};

auto share_of(int rank, int world_size) {
  return [=](std::int64_t batch) { return std::pair{batch * rank / world_size, batch * (rank + 1) / world_size}; };
}

TEST(BatchLoader, RanksTogetherReadTheGlobalBatchesInOrder) {
  for (const std::int64_t size : {0, 1, 7, 100, 1001})
    for (const std::int64_t batch_size : {1, 3, 100, 5000})
      for (const int world_size : {1, 3, 8}) {
        const Numbers numbers(size);
        const SampleOrder order(size, {}, 1, 2);
        std::vector<std::vector<std::int64_t>> global(static_cast<std::size_t>((size + batch_size - 1) / batch_size));
        for (int rank = 0; rank < world_size; ++rank) {
          BatchLoader loader(numbers, order, batch_size, share_of(rank, world_size));
          ASSERT_EQ(loader.batches(), std::ssize(global));
          Batch batch;
          for (auto& whole : global) {
            ASSERT_TRUE(loader.next(batch));
            whole.insert(whole.end(), batch.samples.begin(), batch.samples.end());
          }
          ASSERT_FALSE(loader.next(batch));
          ASSERT_FALSE(loader.next(batch)) << "the end stays the end";
          EXPECT_GE(loader.waited_s(), 0);
        }
        std::int64_t position = 0;
        for (const auto& whole : global)
          for (const std::int64_t sample : whole) ASSERT_EQ(sample, order(position++));
        ASSERT_EQ(position, size) << "the last partial batch is used";
      }
}

TEST(BatchLoader, GoesOnAtABatch) {
  const Numbers numbers(10);
  const SampleOrder order(10, {.kind = Shuffle::none}, 1, 0);
  BatchLoader loader(numbers, order, 4, share_of(0, 1), 2);
  Batch batch;
  ASSERT_TRUE(loader.next(batch));
  EXPECT_EQ(batch.samples, (std::vector<std::int64_t>{8, 9}));
  EXPECT_FALSE(loader.next(batch));
}

TEST(BatchLoader, ThrowsAtTheBatchThatCannotBeRead) {
  const Numbers numbers(100, 55);
  const SampleOrder order(100, {.kind = Shuffle::none}, 1, 0);
  BatchLoader loader(numbers, order, 10, share_of(0, 1));
  Batch batch;
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(loader.next(batch));
  EXPECT_THROW(loader.next(batch), Error);
}

TEST(BatchLoader, StopsAtOnceWhenLeft) {
  const Numbers numbers(10'000'000);
  const SampleOrder order(10'000'000, {}, 1, 0);
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) {
    BatchLoader loader(numbers, order, 100, share_of(0, 1));
    Batch batch;
    if (i % 2) loader.next(batch);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

}  // namespace
}  // namespace swallowtail
