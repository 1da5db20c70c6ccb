#include "trainer/device/table_room.h"

#include <gtest/gtest.h>

#include "kernels/cuda/row_cache.h"
#include "kernels/random.h"

namespace swallowtail {
namespace {

std::int64_t bytes_on_device(std::span<const TableDemand> tables, std::span<const std::int64_t> slots) {
  std::int64_t bytes = 0;
  for (std::size_t t = 0; t < tables.size(); ++t)
    bytes += slots[t] == 0 ? tables[t].rows * tables[t].row_bytes
                           : slots[t] * (tables[t].row_bytes + cuda::RowCache::kSlotBytes);
  return bytes;
}

TEST(TableRoom, LeavesTablesThatFitTogetherAlone) {
  const std::vector<TableDemand> tables{{100, 64, 10}, {50, 128, 10}};
  EXPECT_EQ(*plan_row_caches(tables, 12800), (std::vector<std::int64_t>{0, 0}));
  EXPECT_EQ(*plan_row_caches({}, 0), std::vector<std::int64_t>{});
}

TEST(TableRoom, CachesTheLargestTablesFirst) {
  // Half the room is the caches': the two small tables stay.
  const std::vector<TableDemand> tables{{1000, 64, 10}, {1'000'000, 64, 10}, {2000, 64, 10}};
  const auto slots = plan_row_caches(tables, 3'200'000);
  ASSERT_TRUE(slots);
  EXPECT_EQ((*slots)[0], 0);
  EXPECT_EQ((*slots)[2], 0);
  const std::int64_t left = 3'200'000 - 3000 * 64, slot = 64 + cuda::RowCache::kSlotBytes;
  EXPECT_LE((*slots)[1], left / slot);
  EXPECT_GT((*slots)[1], left / slot - 2 * kCacheWays);
}

TEST(TableRoom, IsNeverLeftAndCachesHoldFourBatchesWhereTheyCan) {
  int cached_plans = 0, refused = 0;
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    const auto draw = [&](std::uint64_t purpose, std::int64_t most) {
      return random::below(random::bits(seed, purpose, 0), most);
    };
    std::vector<TableDemand> tables;
    std::int64_t all = 0, least = 0;
    for (std::uint64_t t = 0; t < static_cast<std::uint64_t>(1 + draw(1, 6)); ++t) {
      tables.push_back({1 + draw(10 * t + 2, 1 + draw(10 * t + 3, 100'000)), 4 * (1 + draw(10 * t + 4, 100)),
                        draw(10 * t + 5, 300)});
      const TableDemand& table = tables.back();
      all += table.rows * table.row_bytes;
      const std::int64_t sets =
          std::max<std::int64_t>(1, (std::min(table.rows, 4 * table.batch_ids) + kCacheWays - 1) / kCacheWays);
      least += sets * kCacheWays * (table.row_bytes + cuda::RowCache::kSlotBytes);
    }
    const std::int64_t room = draw(6, all + all / 4 + 1);
    const auto slots = plan_row_caches(tables, room);
    if (!slots) {
      ++refused;
      EXPECT_LT(room, least) << "seed " << seed;
      continue;
    }
    EXPECT_LE(bytes_on_device(tables, *slots), room) << "seed " << seed;
    for (std::size_t t = 0; t < tables.size(); ++t) {
      if ((*slots)[t] == 0) continue;
      ++cached_plans;
      EXPECT_LT(room, all) << "seed " << seed;
      EXPECT_EQ((*slots)[t] % kCacheWays, 0);
      if (room >= least) {
        EXPECT_GE((*slots)[t], std::min(tables[t].rows, 4 * tables[t].batch_ids)) << "seed " << seed;
      }
      for (std::size_t other = 0; other < tables.size(); ++other)  // none that is larger is whole
        EXPECT_TRUE((*slots)[other] > 0 ||
                    tables[other].rows * tables[other].row_bytes <= tables[t].rows * tables[t].row_bytes)
            << "seed " << seed;
    }
  }
  EXPECT_GT(cached_plans, 500);
  EXPECT_GT(refused, 5);
}

TEST(TableRoom, IsWhatWorkLeaves) {
  DeviceModel model;
  model.network = {.dense = 4, .dim = 16, .vectors = 1};
  model.network.bottom = {{4, 16, 0, 64}};
  model.network.top = {{17, 1, 80, 97}};
  model.parameters = 98;
  model.optimizer = {.kind = Optimizer::adagrad};
  model.tables = {{.name = "t", .rows = 10, .dim = 16, .mean_ids = 2}};
  const std::int64_t one = work_bytes(model, 1), thousand = work_bytes(model, 1000);
  EXPECT_GT(thousand - one, 999 * (2 * 2 * 8 + 4 * (4 * 16 + 16)));  // ids twice, vectors and activations at least
  EXPECT_LT(thousand, 1000 * 4096);
  model.tables[0].mean_ids = 20;
  EXPECT_GT(work_bytes(model, 1000), thousand + 1000 * 18 * 100);
}

}  // namespace
}  // namespace swallowtail
