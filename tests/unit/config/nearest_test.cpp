#include "trainer/config/nearest.h"

#include <gtest/gtest.h>

#include <array>

namespace swallowtail {
namespace {

constexpr std::array<std::string_view, 4> kWords{"embedding_dim", "interaction", "dropout", "dot"};

TEST(Nearest, CountsInsertionsDeletionsReplacementsAndSwaps) {
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("abc", ""), 3u);
  EXPECT_EQ(edit_distance("droput", "dropout"), 1u);
  EXPECT_EQ(edit_distance("auc", "acu"), 1u) << "a swap of neighbours is one edit";
  EXPECT_EQ(edit_distance("ca", "abc"), 3u) << "optimal string alignment edits no substring twice";
}

TEST(Nearest, TakesCaseAndDashesAsTheSameLetter) {
  EXPECT_EQ(edit_distance("Batch-Size", "batch_size"), 0u);
  EXPECT_EQ(nearest("EMBEDDING-DIM", kWords), "embedding_dim");
}

TEST(Nearest, FindsTheMisspeltWord) {
  EXPECT_EQ(nearest("embeding_dim", kWords), "embedding_dim");
  EXPECT_EQ(nearest("itneraction", kWords), "interaction");
  EXPECT_EQ(nearest("dott", kWords), "dot");
  EXPECT_EQ(nearest("drop", kWords), "") << "three of seven letters are more than a third";
}

TEST(Nearest, IsEmptyWhereNothingIsNear) {
  EXPECT_EQ(nearest("learning_rate", kWords), "");
  EXPECT_EQ(nearest("", kWords), "");
  EXPECT_EQ(nearest(std::string(1 << 20, 'd'), kWords), "");
  EXPECT_EQ(nearest("dot", {}), "");
  constexpr std::array<std::string_view, 1> kOneLetter{"k"};
  EXPECT_EQ(nearest("x", kOneLetter), "") << "a wholly different word is not near, however short";
}

TEST(Nearest, TakesTheFirstOfEquals) {
  constexpr std::array<std::string_view, 2> kEquals{"mean", "bean"};
  EXPECT_EQ(nearest("dean", kEquals), "mean");
}

TEST(Nearest, AdviceNamesTheNearestOrAllOfAShortList) {
  constexpr std::array<std::string_view, 2> kPooling{"sum", "mean"};
  EXPECT_EQ(did_you_mean("meen", kPooling), "did you mean 'mean'?");
  EXPECT_EQ(did_you_mean("maximum", kPooling), "known are sum, mean");
  EXPECT_EQ(did_you_mean("x", {}), "");
}

}  // namespace
}  // namespace swallowtail
