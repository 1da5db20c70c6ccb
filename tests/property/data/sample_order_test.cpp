// Laws of the order of samples, for many sizes and kinds.
#include "trainer/data/sample_order.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <vector>

namespace swallowtail {
namespace {

std::vector<std::int64_t> order_of(std::int64_t size, ShuffleOptions options, std::uint64_t seed, std::int64_t epoch) {
  const SampleOrder order(size, options, seed, epoch);
  std::vector<std::int64_t> samples;
  for (std::int64_t position = 0; position < size; ++position) samples.push_back(order(position));
  return samples;
}

const std::vector<ShuffleOptions> kKinds{
    {.kind = Shuffle::none},
    {.kind = Shuffle::global},
    {.kind = Shuffle::blocks},
    {.kind = Shuffle::blocks, .block = 1, .buffer = 1},
    {.kind = Shuffle::blocks, .block = 7, .buffer = 3},
    {.kind = Shuffle::blocks, .block = 100, .buffer = 1000},
};

TEST(SampleOrder, VisitsEverySampleOnce) {
  for (const auto& options : kKinds)
    for (const std::int64_t size : {0, 1, 2, 3, 4, 5, 7, 8, 9, 20, 21, 22, 63, 64, 65, 1000, 4095, 4097, 100'000})
      for (const std::uint64_t seed : {0U, 1U, 77U}) {
        auto samples = order_of(size, options, seed, 3);
        std::ranges::sort(samples);
        for (std::int64_t i = 0; i < size; ++i)
          ASSERT_EQ(samples[static_cast<std::size_t>(i)], i) << fmt::format(
              "kind {}, block {}, size {}, seed {}", static_cast<int>(options.kind), options.block, size, seed);
      }
}

TEST(SampleOrder, HoldsForSizesBeyond32Bits) {
  const std::int64_t size = (std::int64_t{1} << 40) + 12345;
  const SampleOrder order(size, {}, 1, 0);
  std::set<std::int64_t> seen;
  for (std::int64_t position = 0; position < 10'000; ++position) {
    const std::int64_t sample = order(position * 100'003);
    ASSERT_GE(sample, 0);
    ASSERT_LT(sample, size);
    seen.insert(sample);
  }
  EXPECT_EQ(seen.size(), 10'000U);
}

TEST(SampleOrder, DiffersByEpochAndSeedAndRepeatsOtherwise) {
  for (const auto& options : {ShuffleOptions{}, ShuffleOptions{.kind = Shuffle::blocks, .block = 16, .buffer = 4}}) {
    const auto first = order_of(1000, options, 1, 0);
    EXPECT_EQ(first, order_of(1000, options, 1, 0));
    EXPECT_NE(first, order_of(1000, options, 1, 1));
    EXPECT_NE(first, order_of(1000, options, 2, 0));
  }
  EXPECT_EQ(order_of(10, {.kind = Shuffle::none}, 1, 0), order_of(10, {.kind = Shuffle::none}, 2, 5));
}

// Position x sample over many epochs is a table whose cells are all equally likely. 10 x 10 bins of 1,000 positions and
// samples, 200 epochs: chi-square with 81 degrees of freedom, whose 99.99 % point is 134.
TEST(SampleOrder, GlobalOrderIsUniform) {
  constexpr std::int64_t size = 1000, epochs = 200;
  std::vector<double> cells(100);
  for (std::int64_t epoch = 0; epoch < epochs; ++epoch) {
    const SampleOrder order(size, {}, 5, epoch);
    for (std::int64_t position = 0; position < size; ++position)
      ++cells[static_cast<std::size_t>(position / 100 * 10 + order(position) / 100)];
  }
  double chi_square = 0;
  for (const double count : cells) chi_square += (count - 2000) * (count - 2000) / 2000;
  EXPECT_LT(chi_square, 134);
}

// Each pair of neighbours keeps its order in half of the epochs: 20,000 draws, 5 standard deviations.
TEST(SampleOrder, PairsComeInEitherOrder) {
  for (const auto& options : {ShuffleOptions{}, ShuffleOptions{.kind = Shuffle::blocks, .block = 8, .buffer = 8}}) {
    std::int64_t kept = 0;
    for (std::int64_t epoch = 0; epoch < 40; ++epoch) {
      const auto samples = order_of(1000, options, 9, epoch);
      std::vector<std::int64_t> position(1000);
      for (std::size_t i = 0; i < 1000; ++i)
        position[static_cast<std::size_t>(samples[i])] = static_cast<std::int64_t>(i);
      for (std::size_t i = 0; i < 1000; i += 2) kept += position[i] < position[i + 1];
    }
    EXPECT_NEAR(static_cast<double>(kept), 10'000, 5 * std::sqrt(5000.0));
  }
}

TEST(SampleOrder, BlocksOrderReadsFewBlocksAtATime) {
  constexpr std::int64_t size = 100'000, block = 100, buffer = 10;
  const auto samples = order_of(size, {.kind = Shuffle::blocks, .block = block, .buffer = buffer}, 3, 0);
  std::map<std::int64_t, std::pair<std::int64_t, std::int64_t>> span;  // block -> first and last position
  std::set<std::int64_t> blocks;
  for (std::int64_t position = 0; position < size; ++position) {
    const std::int64_t of = samples[static_cast<std::size_t>(position)] / block;
    span.try_emplace(of, position, position).first->second.second = position;
    if (position < 64) blocks.insert(of);
  }
  EXPECT_GE(blocks.size(), 5U) << "a batch draws from many blocks of the buffer";
  EXPECT_LE(blocks.size(), 2U * buffer);
  std::int64_t wide = 0;  // only the group that the rotation cuts is read at both ends of the epoch
  for (const auto& [of, positions] : span) wide += positions.second - positions.first >= block * buffer;
  EXPECT_LE(wide, buffer);
}

TEST(SampleOrder, TheRestAfterTheLastBlockIsNotAlwaysLast) {
  std::int64_t late = 0;
  for (std::int64_t epoch = 0; epoch < 50; ++epoch)
    late += order_of(1003, {.kind = Shuffle::blocks, .block = 10, .buffer = 5}, 1, epoch).back() >= 1000;
  EXPECT_LT(late, 25);
}

}  // namespace
}  // namespace swallowtail
