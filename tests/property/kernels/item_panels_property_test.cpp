#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>

#include "kernels/item_panels.h"
#include "kernels/random.h"
#include "tests/unit/kernels/every_isa.h"

namespace swallowtail {
namespace {

std::vector<float> drawn(std::int64_t count, std::uint64_t seed) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i)
    values.push_back(static_cast<float>(random::normal(random::bits(seed, 1, static_cast<std::uint64_t>(i)))));
  return values;
}

TEST(ItemPanels, AreFusedSumsInOrderOnEveryIsa) {
  EXPECT_TRUE(rc::check([] {
    const auto queries = *rc::gen::inRange<std::int64_t>(0, 11), items = *rc::gen::inRange<std::int64_t>(1, 200);
    const auto dim = *rc::gen::inRange<std::int64_t>(1, 40);
    const auto seed = *rc::gen::arbitrary<std::uint64_t>();
    const bool has_bias = *rc::gen::arbitrary<bool>();
    const auto users = drawn(queries * dim, seed), table = drawn(items * dim, seed + 1);
    const auto bias = has_bias ? drawn(items, seed + 2) : std::vector<float>{};
    const auto scores = [&] {
      std::vector<float> made(static_cast<std::size_t>(queries * items), -7.0F);
      ItemPanels(table, dim, bias).scores(users, made);
      return made;
    };
    std::vector<float> wanted;
    for (std::int64_t q = 0; q < queries; ++q)
      for (std::int64_t i = 0; i < items; ++i) {
        float sum = 0;
        for (std::int64_t d = 0; d < dim; ++d) sum = std::fma(users[q * dim + d], table[i * dim + d], sum);
        wanted.push_back(has_bias ? sum + bias[i] : sum);
      }
    RC_ASSERT(under(Isa::scalar, scores) == wanted);
    for (const Isa isa : wide_isas()) RC_ASSERT(under(isa, scores) == wanted);
  }));
}

}  // namespace
}  // namespace swallowtail
