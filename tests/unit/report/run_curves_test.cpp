#include "trainer/report/run_curves.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/report/temporary_folder.h"

namespace swallowtail {
namespace {

TEST(RunCurves, ReadTheMetricsLog) {
  TemporaryFolder folder;
  write_text(
      folder / "metrics.jsonl",
      "{\"step\":10,\"epoch\":0.1,\"samples\":2560,\"loss\":0.69,\"learning_rate\":0.01,\"samples_per_s\":1000.0}\n"
      "{\"step\":20,\"epoch\":0.2,\"samples\":5120,\"loss\":null,\"learning_rate\":0.02,\"samples_per_s\":1200.0}\n"
      "{\"step\":20,\"split\":\"validation\",\"weights\":\"raw\",\"auc\":0.8,\"logloss\":0.5,\"samples\":7}\n"
      "{\"step\":20,\"split\":\"validation\",\"weights\":\"average\",\"auc\":null,\"logloss\":0.45}\n"
      "half a li");
  const auto plots = plots_by_step(folder / "metrics.jsonl", 20);
  ASSERT_EQ(plots.size(), 4U);
  EXPECT_EQ(plots[0].title, "Loss");
  EXPECT_EQ(plots[1].title, "AUC");
  EXPECT_EQ(plots[2].title, "Learning rate");
  EXPECT_EQ(plots[3].title, "Speed");
  ASSERT_EQ(plots[0].series.size(), 3U);
  EXPECT_EQ(plots[0].series[0].name, "train");
  EXPECT_EQ(plots[0].series[0].x, (std::vector<double>{10, 20}));
  EXPECT_EQ(plots[0].series[0].y[0], 0.69);
  EXPECT_TRUE(std::isnan(plots[0].series[0].y[1]));
  EXPECT_EQ(plots[0].series[1].name, "validation, raw weights");
  EXPECT_EQ(plots[0].series[2].name, "validation");
  EXPECT_EQ(plots[0].series[2].y, std::vector<double>{0.45});
  EXPECT_EQ(plots[1].series[0].y, std::vector<double>{0.8});
  EXPECT_EQ(plots[0].marked_x, 20);
  EXPECT_EQ(plots[2].marked_x, std::nullopt);
}

TEST(RunCurves, WithoutAveragingTheRawWeightsAreTheModel) {
  TemporaryFolder folder;
  write_text(folder / "metrics.jsonl",
             "{\"step\":20,\"split\":\"validation\",\"weights\":\"raw\",\"auc\":0.8}\n"
             "{\"step\":40,\"split\":\"validation\",\"auc\":0.9}\n");
  const auto plots = plots_by_step(folder / "metrics.jsonl");
  ASSERT_EQ(plots.size(), 1U);
  ASSERT_EQ(plots[0].series.size(), 1U);
  EXPECT_EQ(plots[0].series[0].name, "validation");
  EXPECT_EQ(plots[0].series[0].y, (std::vector<double>{0.8, 0.9}));
}

TEST(RunCurves, NoLogNoPlots) { EXPECT_TRUE(plots_by_step("/nonexistent/metrics.jsonl").empty()); }

}  // namespace
}  // namespace swallowtail
