// Intervals and p-values against numpy and scikit-learn with the same draws; tests/golden/bootstrap.py made the values.
#include "trainer/evaluation/bootstrap.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

namespace swallowtail {
namespace {

void expect_interval(const Interval& interval, const nlohmann::json& golden, const char* what) {
  EXPECT_NEAR(interval.value, golden.at("value").get<double>(), 1e-12) << what;
  EXPECT_NEAR(interval.low, golden.at("low").get<double>(), 1e-12) << what;
  EXPECT_NEAR(interval.high, golden.at("high").get<double>(), 1e-12) << what;
}

ResampleOptions options_of(const nlohmann::json& golden) {
  return {.resamples = golden.at("resamples"), .confidence = golden.at("confidence"), .seed = golden.at("seed")};
}

TEST(Bootstrap, EqualsNumpyAndScikitLearn) {
  std::ifstream file(SWALLOWTAIL_SOURCE_DIR "/tests/golden/bootstrap.json");
  ASSERT_TRUE(file) << "tests/golden/bootstrap.json is missing";
  const auto golden = nlohmann::json::parse(file);
  for (const auto& one : golden.at("means")) {
    const std::vector<double> a = one.at("a"), b = one.at("b");
    expect_interval(bootstrap_mean(a, options_of(one)), one.at("of_a"), "mean");
    const Comparison comparison = compare_means(a, b, options_of(one));
    expect_interval(comparison.difference, one.at("difference"), "difference of means");
    EXPECT_NEAR(comparison.p, one.at("p").get<double>(), 1e-12);
  }
  for (const auto& one : golden.at("aucs")) {
    const std::vector<float> labels = one.at("labels");
    const AucOfSeeds a(labels, one.at("a")), b(labels, one.at("b"));
    const auto units = static_cast<std::int64_t>(labels.size());
    expect_interval(bootstrap_auc(a, units, options_of(one)), one.at("of_a"), "auc");
    const Comparison comparison = compare_auc(a, b, units, options_of(one));
    expect_interval(comparison.difference, one.at("difference"), "difference of auc");
    EXPECT_NEAR(comparison.p, one.at("p").get<double>(), 1e-12);
  }
}

TEST(Bootstrap, TellsADifferenceFromNoneOnAnyNumberOfThreads) {
  std::vector<double> a, same, better;
  for (int i = 0; i < 200; ++i) {
    a.push_back(std::sin(i));
    same.push_back(a.back() + 0.1 * std::cos(7 * i));
    better.push_back(a.back() + 0.1 * std::cos(7 * i) + 0.05);
  }
  const auto nothing = compare_means(a, same, {}), something = compare_means(a, better, {});
  EXPECT_LT(nothing.difference.low, 0);
  EXPECT_GT(nothing.difference.high, 0);
  EXPECT_GT(nothing.p, 0.2);
  EXPECT_GT(something.difference.low, 0);
  EXPECT_LT(something.p, 0.001);
  const int threads = omp_get_max_threads();
  omp_set_num_threads(3);
  const auto again = compare_means(a, better, {});
  omp_set_num_threads(threads);
  EXPECT_EQ(again.p, something.p);
  EXPECT_EQ(again.difference.low, something.difference.low);
  EXPECT_EQ(compare_means(a, a, {}).p, 1);
}

}  // namespace
}  // namespace swallowtail
