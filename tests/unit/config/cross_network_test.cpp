#include "trainer/config/cross_network.h"

#include <gtest/gtest.h>

namespace swallowtail {
namespace {

Experiment experiment(const std::string& model) {
  return Experiment::parse("data: {source: synthetic}\nmodel: {" + model + "}\n", {}, "cross.yaml");
}

TEST(CrossNetwork, IsThatOfTheKeys) {
  EXPECT_FALSE(cross_network(experiment("interaction: dot, cross_rank: 99"), 8));
  EXPECT_FALSE(cross_network(experiment("interaction: cat"), 8));
  const auto asked = cross_network(experiment("interaction: cross, cross_layers: 2, cross_rank: 8"), 8);
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->layers, 2);
  EXPECT_EQ(asked->rank, 8);
}

TEST(CrossNetwork, HasAQuarterOfTheWidthAsItsRankByDefault) {
  EXPECT_EQ(cross_network(experiment("interaction: cross"), 432)->rank, 108);
  EXPECT_EQ(cross_network(experiment("interaction: cross"), 3)->rank, 1);
}

TEST(CrossNetwork, RefusesARankAboveTheWidth) {
  try {
    cross_network(experiment("interaction: cross, cross_rank: 9"), 8);
    FAIL() << "nothing was refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_EQ(error.message(),
              "swallowtail: error: model.cross_rank is 9, and the features have 8 columns together, at "
              "cross.yaml:2:41; give a rank of "
              "that or less");
  }
}

}  // namespace
}  // namespace swallowtail
