#include "kernels/finite.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace swallowtail {
namespace {

TEST(Finite, FindsTheOneThatIsNotWhereverItStands) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
  for (const std::size_t size : {1UL, 7UL, 16UL, 16385UL, 70001UL}) {  // the last is shared among threads
    std::vector<float> values(size, -std::numeric_limits<float>::max());
    EXPECT_FALSE(has_non_finite(values)) << size;
    for (const std::size_t at : {std::size_t{0}, size / 2, size - 1})
      for (const float bad : {kInfinity, -kInfinity, kNan, -kNan}) {
        values[at] = bad;
        EXPECT_TRUE(has_non_finite(values)) << size << " " << at << " " << bad;
        values[at] = std::numeric_limits<float>::denorm_min();
      }
  }
  EXPECT_FALSE(has_non_finite({}));
}

}  // namespace
}  // namespace swallowtail
