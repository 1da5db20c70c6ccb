// Strata: planted types of users are found, cold ones are placed by what is known of them, and no number of ranks and
// no order of users changes anything.
#include "trainer/sap/strata.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>

#include "parallel/local_communicator.h"
#include "tests/unit/sap/sap_fixture.h"
#include "trainer/sap/truncated_svd.h"

namespace swallowtail {
namespace {

using test::adjusted_rand;
using test::interactions;
using test::Planted;
using test::planted;

Strata fitted(const Interactions& data, const StrataOptions& options) {
  const auto rank = make_single_rank();
  return fit_strata(data, options, *rank);
}

double agreement(const Strata& strata) {
  std::vector<std::int64_t> found, truth;
  for (const std::int64_t user : strata.clustered) {
    found.push_back(strata.of_user[user]);
    truth.push_back(user % 2);
  }
  return adjusted_rand(found, truth);
}

TEST(Strata, FindPlantedTypes) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed)
    for (const double against : {0.0, 0.1}) {
      const Interactions data = planted({.against = against, .seed = seed});
      const Strata strata = fitted(data, {.seed = seed});
      EXPECT_EQ(strata.count(), 2) << seed << ", " << against;
      EXPECT_GT(agreement(strata), 0.95) << seed << ", " << against;
      EXPECT_GT(strata.quality[0], 0.2);
    }
}

TEST(Strata, FindPlantedTypesWithoutDemographicsToo) {
  Interactions data = planted({.against = 0});
  data.user_table.columns.clear();
  EXPECT_GT(agreement(fitted(data, {})), 0.95);
}

TEST(Strata, ColdUsersAreNeverClusteredAndArePlacedByDemographics) {
  const Planted plan;
  const Interactions data = planted(plan);
  const Strata strata = fitted(data, {});
  std::int64_t right = 0, all = 0;
  for (std::int64_t user = 0; user < plan.users; ++user) {
    const bool is_cold = data.train.count(user) < 5;
    EXPECT_EQ(strata.of(user) == kColdStratum, is_cold) << user;
    if (!is_cold) continue;
    const std::int64_t kind = data.user_table.columns[0].codes[user];
    const std::int32_t own = strata.place_by_demographics(user);
    // The stratum of the type that the user's kind stands for, by the users whose type it is.
    std::int64_t same = 0, other = 0;
    for (const std::int64_t warm : strata.clustered)
      if (strata.of(warm) == own) (warm % 2 == kind ? same : other) += 1;
    right += same > other ? 1 : 0;
    ++all;
  }
  ASSERT_EQ(all, 2 * plan.cold);
  EXPECT_GE(right, all * 9 / 10);
  EXPECT_EQ(strata.place_by_demographics(kColdId), 0);
  EXPECT_EQ(strata.facts(kColdStratum, data.train).users, all);
  const auto groups = strata.groups();
  ASSERT_EQ(groups.size(), 3U);
  EXPECT_GE(groups[0].users.size(), groups[1].users.size());
  EXPECT_EQ(groups[2].name, "cold stratum");
}

TEST(Strata, HaveTheSameBitsOnAnyNumberOfRanks) {
  const Interactions data = planted({.users = 151, .items = 40, .cold = 5});
  const Strata one = fitted(data, {.most = 3, .restarts = 2});
  for (const int world : {2, 4}) {
    std::mutex mutex;
    run_ranks(world, [&](Communicator& ranks) {
      const Strata many = fit_strata(data, {.most = 3, .restarts = 2}, ranks);
      const std::lock_guard guard(mutex);
      EXPECT_EQ(many.of_user, one.of_user) << world;
      EXPECT_EQ(many.centroids, one.centroids) << world;
      EXPECT_EQ(many.plane, one.plane) << world;
      EXPECT_EQ(many.quality, one.quality) << world;
    });
  }
}

TEST(Strata, OrderOfUsersChangesNoPartition) {
  const Planted plan{.against = 0.1};
  const Interactions data = planted(plan);
  std::vector<std::vector<std::int64_t>> histories;
  std::vector<std::int64_t> kinds;
  std::vector<float> ages;
  for (std::int64_t user = plan.users - 1; user >= 0; --user) {
    histories.emplace_back(data.train.of(user).begin(), data.train.of(user).end());
    kinds.push_back(data.user_table.columns[0].codes[user]);
    ages.push_back(data.user_table.columns[1].numbers[user]);
  }
  Interactions turned = interactions(histories, plan.items);
  turned.user_table.columns = {test::category_column("kind", {"even", "odd"}, kinds), test::number_column("age", ages)};
  auto straight = fitted(data, {}).of_user, back = fitted(turned, {}).of_user;
  std::ranges::reverse(back);
  for (auto* labels : {&straight, &back})
    for (std::int64_t& label : *labels) label += 1;  // cold is a label as well
  EXPECT_EQ(adjusted_rand(straight, back), 1);
}

TEST(Strata, EqualUsersAreOneStratumWithANote) {
  const Interactions data = interactions(std::vector<std::vector<std::int64_t>>(80, {0, 1, 2, 3, 4}), 6);
  const Strata strata = fitted(data, {});
  EXPECT_EQ(strata.count(), 1);
  EXPECT_FALSE(strata.notes.empty());
  const Strata asked = fitted(data, {.count = 3});
  EXPECT_EQ(asked.count(), 1);
  EXPECT_FALSE(asked.notes.empty());
}

TEST(Strata, WithoutAnyWarmUserAllAreCold) {
  const Interactions data = interactions({{0}, {1}, {}}, 2);
  const Strata strata = fitted(data, {});
  EXPECT_EQ(strata.count(), 0);
  EXPECT_EQ(strata.of(0), kColdStratum);
  EXPECT_EQ(strata.nearest(0), 0);
  EXPECT_FALSE(strata.notes.empty());
}

TEST(Strata, SmallOnesJoinTheNearest) {
  // Six users of a third kind among 360: below a fiftieth.
  Interactions data = planted({.users = 354, .cold = 0});
  auto train = data.train;
  std::vector<std::vector<std::int64_t>> histories;
  for (std::int64_t user = 0; user < 354; ++user) histories.emplace_back(train.of(user).begin(), train.of(user).end());
  for (int user = 0; user < 6; ++user) histories.push_back({100, 101, 102, 103, 104, 105});
  const Interactions more = interactions(histories, 106);
  const Strata strata = fitted(more, {.count = 3});
  EXPECT_EQ(strata.count(), 2);
  EXPECT_GE(strata.facts(1, more.train).users, 36);
}

TEST(Strata, StateIsReadBack) {
  const Interactions data = planted({});
  Strata strata = fitted(data, {}), read(data, {});
  const auto from = strata.state(), to = read.state();
  ASSERT_EQ(from.size(), to.size());
  for (std::size_t i = 0; i < from.size(); ++i) {
    ASSERT_EQ(from[i].shape, to[i].shape) << from[i].name;
    std::ranges::copy(from[i].bytes, to[i].bytes.begin());
  }
  EXPECT_EQ(read.of_user, strata.of_user);
  for (std::int64_t user = 0; user < data.users.size(); ++user) EXPECT_EQ(read.nearest(user), strata.nearest(user));
}

TEST(Strata, MarksNameWhatIsPlanted) {
  Interactions data = planted({});
  std::vector<std::int64_t> parity;
  for (std::int64_t item = 0; item < data.items.size(); ++item) parity.push_back(item % 2);
  data.item_table.columns.push_back(test::category_column("parity", {"even", "odd"}, parity));
  const Strata strata = fitted(data, {});
  const auto marks = stratum_marks(strata, data, &data.item_table.columns[0], 3);
  ASSERT_EQ(marks.size(), 2U);
  for (const auto& of_stratum : marks) {
    ASSERT_GE(of_stratum.size(), 2U);
    std::string words;
    for (const StratumMark& mark : of_stratum) words += mark.words + "; ";
    EXPECT_NE(words.find("kind "), std::string::npos) << words;
    EXPECT_NE(words.find("items of parity "), std::string::npos) << words;
    EXPECT_GT(of_stratum[0].here, of_stratum[0].everywhere);
    EXPECT_EQ(words.find("age"), std::string::npos) << "age says nothing: " << words;
  }
}

TEST(Strata, WithoutStrataThereAreNoMarks) {
  const Interactions data = planted({});
  EXPECT_TRUE(stratum_marks(Strata(data, {}), data, nullptr, 5).empty());
}

TEST(TruncatedSvd, EqualsTheMatrixWhereItsRankIsWhole) {
  const Interactions data = interactions({{0, 1}, {1, 2}, {0, 2, 3}, {3}}, 4);
  const auto rank = make_single_rank();
  const TruncatedSvd svd = truncated_svd(data.train, 4, {.rank = 4}, *rank);
  const std::vector<double> users{2, 2, 3, 1}, items{2, 2, 2, 2};
  for (std::int64_t u = 0; u < 4; ++u)
    for (std::int64_t i = 0; i < 4; ++i) {
      const auto own = data.train.of(u);
      const double touched = std::ranges::find(own, i) != own.end() ? 1 : 0;
      const double wanted = touched / std::sqrt(users[u] * items[i]) - std::sqrt(users[u] * items[i]) / 8;
      double made = 0;
      for (std::int64_t j = 0; j < svd.rank; ++j) made += svd.users[u * 4 + j] * svd.values[j] * svd.items[i * 4 + j];
      EXPECT_NEAR(made, wanted, 1e-12) << u << ", " << i;
    }
}

TEST(TruncatedSvd, VectorsAreOrthonormalAndSigned) {
  const Interactions data = planted({});
  const auto rank = make_single_rank();
  const TruncatedSvd svd = truncated_svd(data.train, data.items.size(), {.rank = 6}, *rank);
  ASSERT_EQ(svd.rank, 6);
  for (std::int64_t a = 0; a < 6; ++a) {
    EXPECT_GE(svd.values[a], a == 5 ? svd.next_value : svd.values[a + 1]);
    double largest = 0;
    for (std::int64_t i = 0; i < data.items.size(); ++i)
      if (std::abs(svd.items[i * 6 + a]) > std::abs(largest)) largest = svd.items[i * 6 + a];
    EXPECT_GT(largest, 0);
    for (std::int64_t b = 0; b < 6; ++b) {
      double users = 0, items = 0;
      for (std::int64_t u = 0; u < data.users.size(); ++u) users += svd.users[u * 6 + a] * svd.users[u * 6 + b];
      for (std::int64_t i = 0; i < data.items.size(); ++i) items += svd.items[i * 6 + a] * svd.items[i * 6 + b];
      EXPECT_NEAR(users, a == b ? 1 : 0, 1e-9);
      EXPECT_NEAR(items, a == b ? 1 : 0, 1e-9);
    }
  }
}

}  // namespace
}  // namespace swallowtail
