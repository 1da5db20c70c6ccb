// Every metric equals scikit-learn's to 1e-9; tests/golden/metrics.py made the cases and their values.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "trainer/evaluation/metrics.h"

namespace swallowtail {
namespace {

TEST(Metrics, EqualScikitLearn) {
  std::ifstream file(SWALLOWTAIL_SOURCE_DIR "/tests/golden/metrics.json");
  ASSERT_TRUE(file) << "tests/golden/metrics.json is missing";
  const auto golden = nlohmann::json::parse(file);
  ASSERT_GE(golden["cases"].size(), 20U);
  for (const auto& test_case : golden["cases"]) {
    const auto probabilities = test_case["probabilities"].get<std::vector<double>>();
    const auto labels = test_case["labels"].get<std::vector<float>>();
    std::vector<float> weights;
    if (!test_case["weights"].is_null()) weights = test_case["weights"].get<std::vector<float>>();
    ASSERT_EQ(test_case["metrics"].size(), metrics().size());
    for (const auto& metric : metrics()) {
      const auto value = metric.function({probabilities, labels, weights});
      const auto& expected = test_case["metrics"].at(std::string(metric.name));
      const auto where = test_case["name"].get<std::string>() + ", " + std::string(metric.name);
      ASSERT_EQ(value.has_value(), !expected.is_null()) << where;
      if (!value) continue;
      const double wanted = expected.get<double>();
      EXPECT_NEAR(*value, wanted, 1e-9 * std::max(1.0, std::abs(wanted))) << where;
    }
  }
}

}  // namespace
}  // namespace swallowtail
