// Laws of the folds: every row is held out once, groups are spread or kept together, and time never runs back.
#include "trainer/data/folds.h"

#include <gtest/gtest.h>

#include <algorithm>

#include <map>
#include <set>
#include <vector>

namespace swallowtail {
namespace {

constexpr std::int64_t kRows = 100, kFolds = 4;

std::uint64_t group_of(std::int64_t row) { return static_cast<std::uint64_t>(row % 7 == 0 ? 1 : row % 3 + 10); }

std::vector<std::optional<Part>> parts(FoldBy by, std::int64_t fold, std::uint64_t seed = 1) {
  const FoldOptions options{.folds = kFolds, .fold = fold, .by = by, .column = {}, .seed = seed};
  Folds folds(options, kRows);
  std::vector<std::optional<Part>> all;
  for (std::int64_t row = 0; row < kRows; ++row) all.push_back(folds.part(group_of(row)));
  return all;
}

TEST(Folds, EveryRowIsHeldOutOnce) {
  for (const FoldBy by : {FoldBy::random, FoldBy::stratified, FoldBy::user}) {
    std::vector<int> held_out(kRows, 0);
    for (std::int64_t fold = 0; fold < kFolds; ++fold) {
      const auto all = parts(by, fold);
      EXPECT_EQ(all, parts(by, fold));
      for (std::int64_t row = 0; row < kRows; ++row) {
        ASSERT_TRUE(all[row]);
        held_out[row] += all[row] == Part::validation ? 1 : 0;
      }
    }
    for (const int times : held_out) EXPECT_EQ(times, 1);
  }
  EXPECT_NE(parts(FoldBy::random, 0), parts(FoldBy::random, 0, 2));
}

TEST(Folds, RandomFoldsAreOfOneSizeAndStratifiedOnesInEveryGroup) {
  for (std::int64_t fold = 0; fold < kFolds; ++fold) {
    EXPECT_EQ(std::ranges::count(parts(FoldBy::random, fold), std::optional(Part::validation)), kRows / kFolds);
    const auto all = parts(FoldBy::stratified, fold);
    std::map<std::uint64_t, std::int64_t> rows, held_out;
    for (std::int64_t row = 0; row < kRows; ++row) {
      ++rows[group_of(row)];
      held_out[group_of(row)] += all[row] == Part::validation ? 1 : 0;
    }
    for (const auto& [group, count] : rows) {
      EXPECT_GE(held_out[group], count / kFolds);
      EXPECT_LE(held_out[group], (count + kFolds - 1) / kFolds);
    }
  }
}

TEST(Folds, UsersStayTogether) {
  for (std::int64_t fold = 0; fold < kFolds; ++fold) {
    const auto all = parts(FoldBy::user, fold);
    std::map<std::uint64_t, std::set<Part>> seen;
    for (std::int64_t row = 0; row < kRows; ++row) seen[group_of(row)].insert(*all[row]);
    for (const auto& [group, of_group] : seen) EXPECT_EQ(of_group.size(), 1U);
  }
}

TEST(Folds, ForwardChainingTrainsOnThePastAlone) {
  for (std::int64_t fold = 0; fold < kFolds; ++fold) {
    const auto all = parts(FoldBy::time, fold);
    const std::int64_t stretch = kRows / (kFolds + 1);
    for (std::int64_t row = 0; row < kRows; ++row) {
      const std::optional<Part> wanted = row < stretch * (fold + 1)   ? std::optional(Part::train)
                                         : row < stretch * (fold + 2) ? std::optional(Part::validation)
                                                                      : std::nullopt;
      EXPECT_EQ(all[row], wanted) << row << " in fold " << fold;
    }
  }
}

TEST(Folds, AreOffUnlessOneIsHeldOut) {
  const auto options = [](const std::string& evaluation) {
    return fold_options(Experiment::parse("data: {source: interactions, train: none}\nevaluation: " + evaluation));
  };
  EXPECT_FALSE(options("{folds: 5}").is_on());
  EXPECT_TRUE(options("{folds: 5, fold: 4}").is_on());
  EXPECT_THROW(options("{folds: 5, fold: 5}"), Error);
  EXPECT_THROW(options("{fold: 0}"), Error);
}

}  // namespace
}  // namespace swallowtail
