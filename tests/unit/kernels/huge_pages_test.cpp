#include "kernels/huge_pages.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace swallowtail {
namespace {

/// Arrays of all sizes, made and freed in any order: each keeps its values, and begins at a cache line.
TEST(HugePages, ArraysSideBySideKeepWhatIsTheirs) {
  std::mt19937_64 random(7);
  const auto below = [&](std::uint64_t end) { return static_cast<std::size_t>(random() % end); };
  std::vector<std::pair<TableVector<std::uint32_t>, std::uint32_t>> live;
  for (std::uint32_t round = 0; round < 3000; ++round) {
    if (!live.empty() && below(5) < 2) {
      std::swap(live[below(live.size())], live.back());
      for (const std::uint32_t value : live.back().first) ASSERT_EQ(value, live.back().second);
      live.pop_back();
      continue;
    }
    const std::size_t count = below(20) == 0 ? 900'000 + below(400'000) : below(3000);  // bytes: around 4 MiB, and few
    live.emplace_back(TableVector<std::uint32_t>(count, round), round);
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(live.back().first.data()) % 64, 0U);
    if (live.size() > 60) live.erase(live.begin(), live.begin() + 30);
  }
  for (const auto& [values, expected] : live)
    for (const std::uint32_t value : values) ASSERT_EQ(value, expected);
}

TEST(HugePages, SmallArraysLieSideBySide) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the address sanitizer has red zones between arrays";
#endif
  const TableVector<float> first(1000, 1.0F), second(1000, 2.0F), third(16, 3.0F);
  const auto place = [](const TableVector<float>& of) { return reinterpret_cast<std::uintptr_t>(of.data()); };
  if (place(first) / (32U << 20) == place(third) / (32U << 20)) {  // else a room was full in between
    EXPECT_EQ(place(second) - place(first), 4032U);                // 4000 bytes, to the next line
    EXPECT_EQ(place(third) - place(second), 4032U);
  }
}

}  // namespace
}  // namespace swallowtail
