#include <gtest/gtest.h>
#include <omp.h>
#include <rapidcheck.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/random.h"
#include "kernels/top_k.h"
#include "tests/unit/kernels/every_isa.h"

namespace swallowtail {
namespace {

TEST(TopK, IsTheBeginningOfTheSortedItemsThatMayBeChosen) {
  EXPECT_TRUE(rc::check([] {
    const auto seed = *rc::gen::arbitrary<std::uint64_t>();
    const auto items = *rc::gen::element<std::int64_t>(0, 1, 15, 100, 9000),
               k = *rc::gen::element<std::int64_t>(0, 1, 10, 120);
    const auto levels = *rc::gen::element<std::int64_t>(1, 5, 1000000);
    const std::int64_t users = 8;
    std::vector<float> scores(users * items);
    for (std::size_t i = 0; i < scores.size(); ++i) {
      scores[i] = static_cast<float>(random::below(random::bits(seed, 1, i), levels));
      if (random::bits(seed, 2, i) % 50 == 0) scores[i] = std::numeric_limits<float>::quiet_NaN();
      if (random::bits(seed, 3, i) % 50 == 0) scores[i] = -std::numeric_limits<float>::infinity();
    }
    std::vector<std::int64_t> values, offsets;
    std::vector<std::uint8_t> candidates;
    if (*rc::gen::arbitrary<bool>()) {
      offsets.push_back(0);
      for (std::int64_t user = 0; user < users; ++user) {
        for (std::int64_t i = 0; items > 0 && i < 20; ++i)
          values.push_back(random::below(random::bits(seed, 4, user, i), items));
        offsets.push_back(std::ssize(values));
      }
    }
    if (*rc::gen::arbitrary<bool>())
      for (std::int64_t i = 0; i < items; ++i) candidates.push_back(random::bits(seed, 5, i) % 3 != 0);
    const TopKOptions options{users, items, k, {values, offsets, {}}, candidates};
    std::vector<std::int64_t> wanted;
    std::vector<float> wanted_scores;
    for (std::int64_t user = 0; user < users; ++user) {
      const float* row = scores.data() + user * items;
      std::vector<std::int64_t> order;
      for (std::int64_t i = 0; i < items; ++i) {
        const bool is_excluded =
            !offsets.empty() && std::find(values.begin() + offsets[user], values.begin() + offsets[user + 1], i) !=
                                    values.begin() + offsets[user + 1];
        if (row[i] == row[i] && !is_excluded && (candidates.empty() || candidates[i] != 0)) order.push_back(i);
      }
      std::ranges::stable_sort(order, [&](std::int64_t a, std::int64_t b) { return row[a] > row[b]; });
      for (std::int64_t place = 0; place < k; ++place) {
        wanted.push_back(place < std::ssize(order) ? order[place] : -1);
        wanted_scores.push_back(place < std::ssize(order) ? row[order[place]]
                                                          : -std::numeric_limits<float>::infinity());
      }
    }
    for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512}) {
      if (isa > best_isa()) continue;
      for (const int threads : {1, 3}) {
        omp_set_num_threads(threads);
        std::vector<std::int64_t> got(users * k);
        std::vector<float> got_scores(users * k);
        under(isa, [&] {
          top_k(options, scores.data(), got, got_scores);
          return 0;
        });
        omp_set_num_threads(1);
        RC_ASSERT(got == wanted);
        RC_ASSERT(got_scores == wanted_scores);
      }
    }
  }));
}

}  // namespace
}  // namespace swallowtail
