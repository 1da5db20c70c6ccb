// The total of a fixed-order sum has the same bits for every number of ranks, and is the tree's own sum.
#include "parallel/deterministic_reduce.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "kernels/random.h"
#include "parallel/error.h"
#include "parallel/local_communicator.h"

namespace swallowtail {
namespace {

/// Magnitudes from 2^-20 to 2^20 with both signs: almost every other order of addition gives other bits.
template <typename T>
std::vector<T> chunk_values(std::uint64_t seed, std::int64_t chunk, std::int64_t n) {
  std::vector<T> values;
  for (std::int64_t i = 0; i < n; ++i) {
    const auto key =
        random::bits(seed, random::purpose("chunk"), static_cast<std::uint64_t>(chunk), static_cast<std::uint64_t>(i));
    const int exponent = static_cast<int>(random::below(random::mix(key), 41)) - 20;
    values.push_back(static_cast<T>(std::ldexp(random::uniform(key) - 0.5, exponent)));
  }
  return values;
}

/// The meaning, by recursion from the root: independent of how the class walks.
template <typename T>
T tree_sum(const std::vector<std::vector<T>>& chunks, std::int64_t i, std::int64_t first, std::int64_t width) {
  if (width == 1) return chunks[static_cast<std::size_t>(first)][static_cast<std::size_t>(i)];
  const T left = tree_sum(chunks, i, first, width / 2);
  if (first + width / 2 >= std::ssize(chunks)) return left;
  return left + tree_sum(chunks, i, first + width / 2, width / 2);
}

template <typename T>
std::vector<std::vector<T>> totals(std::uint64_t seed, std::int64_t chunks, std::int64_t n, int world_size) {
  std::vector<std::vector<T>> by_rank(static_cast<std::size_t>(world_size));
  run_ranks(world_size, [&](Communicator& ranks) {
    const auto [first, end] = chunk_share(chunks, ranks.rank(), world_size);
    FixedOrderSum<T> sum(n, chunks, first, end);
    auto& out = by_rank[static_cast<std::size_t>(ranks.rank())];
    for (const bool is_second_step : {false, true}) {  // finish() leaves nothing of the step before
      for (auto chunk = first; chunk < end; ++chunk)
        sum.add(chunk, chunk_values<T>(is_second_step ? seed : seed + 1, chunk, n));
      out.assign(static_cast<std::size_t>(n), T{17});
      sum.finish(ranks, {"tree", is_second_step}, out);
    }
  });
  return by_rank;
}

template <typename T>
void check_all(std::uint64_t seeds) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    const auto chunks = random::below(random::bits(seed, 1), 41);
    const std::int64_t n = std::array{0, 1, 7, 1000}[seed % 4];
    std::vector<std::vector<T>> parts;
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) parts.push_back(chunk_values<T>(seed, chunk, n));
    const auto width =
        static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(std::max<std::int64_t>(chunks, 1))));
    for (const int world_size : {1, 2, 3, 4, 5, 8}) {
      const auto where = fmt::format("seed {}, {} chunks of {}, {} ranks", seed, chunks, n, world_size);
      const auto by_rank = totals<T>(seed, chunks, n, world_size);
      for (const auto& total : by_rank)
        for (std::int64_t i = 0; i < n; ++i) {
          const T expected = chunks == 0 ? T{0} : tree_sum(parts, i, 0, width);
          ASSERT_EQ(std::bit_cast<Bits>(total[static_cast<std::size_t>(i)]), std::bit_cast<Bits>(expected))
              << where << ", value " << i;
        }
    }
  }
}

TEST(FixedOrderSum, FloatBitsAreTheTreesForEveryWorldSize) { check_all<float>(60); }
TEST(FixedOrderSum, DoubleBitsAreTheTreesForEveryWorldSize) { check_all<double>(60); }

TEST(FixedOrderSum, OrderOfTheTestPayloadMatters) {
  // Otherwise the two laws above would hold for any order.
  int differs = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<std::vector<float>> parts;
    float forward = 0;
    for (std::int64_t chunk = 0; chunk < 8; ++chunk) {
      parts.push_back(chunk_values<float>(seed, chunk, 1));
      forward += parts.back()[0];
    }
    differs += forward != tree_sum(parts, 0, 0, 8);
  }
  EXPECT_GE(differs, 5);
}

TEST(FixedOrderSum, SmallTreeByHand) {
  // Five chunks: ((a + b) + (c + d)) + e, where 1 vanishes beside 1e8 unless the pairs cancel first.
  const std::vector<float> chunks{1e8F, -1e8F, 1.0F, 1e-3F, 5.0F};
  const float expected = ((1e8F + -1e8F) + (1.0F + 1e-3F)) + 5.0F;
  for (const int world_size : {1, 2, 3, 4, 8})
    run_ranks(world_size, [&](Communicator& ranks) {
      const auto [first, end] = chunk_share(5, ranks.rank(), world_size);
      TreeSum sum(1, 5, first, end);
      for (auto chunk = first; chunk < end; ++chunk) sum.add(chunk, {&chunks[static_cast<std::size_t>(chunk)], 1});
      float total = 0;
      sum.finish(ranks, {"tree"}, {&total, 1});
      EXPECT_EQ(total, expected) << world_size << " ranks";
    });
}

TEST(ChunkShare, CoversAllChunksOnceAndIsEven) {
  for (std::int64_t chunks = 0; chunks <= 40; ++chunks)
    for (int world_size = 1; world_size <= 9; ++world_size) {
      std::int64_t next = 0;
      for (int rank = 0; rank < world_size; ++rank) {
        const auto [first, end] = chunk_share(chunks, rank, world_size);
        EXPECT_EQ(first, next);
        EXPECT_GE(end - first, chunks / world_size);
        EXPECT_LE(end - first, (chunks + world_size - 1) / world_size);
        next = end;
      }
      EXPECT_EQ(next, chunks);
    }
}

TEST(FixedOrderSum, RefusesAChunkOutOfTurnAndAMissingOne) {
  const auto ranks = make_single_rank();
  const float value = 1;
  float total = 0;
  TreeSum sum(1, 3, 0, 3);
  sum.add(0, {&value, 1});
  EXPECT_THROW(sum.add(2, {&value, 1}), Error);
  EXPECT_THROW(sum.finish(*ranks, {"tree"}, {&total, 1}), Error);
  TreeSum foreign(1, 3, 0, 2);  // not the share of one rank
  foreign.add(0, {&value, 1});
  foreign.add(1, {&value, 1});
  EXPECT_THROW(foreign.finish(*ranks, {"tree"}, {&total, 1}), Error);
}

}  // namespace
}  // namespace swallowtail
