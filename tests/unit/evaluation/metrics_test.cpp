#include "trainer/evaluation/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "parallel/error.h"
#include "trainer/evaluation/auc.h"
#include "trainer/evaluation/likelihood.h"
#include "trainer/evaluation/threshold.h"

namespace swallowtail {
namespace {

TEST(Metrics, GoldenValuesOfSap) {  // SAP.md section 5
  const std::vector<double> tied{.1, .4, .4, .8, .8, .9};
  const std::vector<float> tied_labels{0, 0, 1, 1, 0, 1};
  EXPECT_NEAR(*auc({tied, tied_labels, {}}), 7.0 / 9, 1e-15);
  const std::vector<double> p{.1, .4, .35, .8};
  const std::vector<float> y{0, 0, 1, 1};
  const Predictions predictions{p, y, {}};
  EXPECT_NEAR(*auc(predictions), .75, 1e-15);
  EXPECT_NEAR(*logloss(predictions), .4722880, 5e-8);
  EXPECT_NEAR(*normalized_entropy(predictions), .6813675, 5e-8);
  EXPECT_NEAR(*calibration(predictions), .825, 1e-15);
}

TEST(Metrics, NothingForNoSamples) {
  for (const auto& metric : metrics()) EXPECT_FALSE(metric.function({})) << metric.name;
  EXPECT_TRUE(roc_curve({}).x.empty());
  EXPECT_TRUE(precision_recall_curve({}).x.empty());
  EXPECT_TRUE(calibration_curve({}).x.empty());
}

TEST(Metrics, OneClassIsUndefinedNotOneHalf) {
  const std::vector<double> p{.2, .6, .6};
  const std::vector<float> ones{1, 1, 1}, zeros{0, 0, 0};
  for (const auto& labels : {ones, zeros}) {
    EXPECT_FALSE(auc({p, labels, {}}));
    EXPECT_FALSE(normalized_entropy({p, labels, {}}));
    EXPECT_TRUE(logloss({p, labels, {}}));
  }
  EXPECT_FALSE(pr_auc({p, zeros, {}}));
  EXPECT_FALSE(calibration({p, zeros, {}}));
  EXPECT_FALSE(recall_at({p, zeros, {}}, 0.5));
  EXPECT_FALSE(precision_at({p, ones, {}}, 0.9));  // nothing predicted positive
  EXPECT_DOUBLE_EQ(*f1_at({p, ones, {}}, 0.9), 0);
}

TEST(Metrics, ThresholdIsInclusiveAndMovable) {
  const std::vector<double> p{.2, .5, .7, .9};
  const std::vector<float> y{0, 1, 0, 1};
  EXPECT_DOUBLE_EQ(*recall_at({p, y, {}}, 0.5), 1);
  EXPECT_DOUBLE_EQ(*precision_at({p, y, {}}, 0.5), 2.0 / 3);
  EXPECT_DOUBLE_EQ(*f1_at({p, y, {}}, 0.5), 0.8);
  EXPECT_DOUBLE_EQ(*accuracy_at({p, y, {}}, 0.5), 0.75);
  EXPECT_DOUBLE_EQ(*recall_at({p, y, {}}, 0.51), 0.5);
  EXPECT_DOUBLE_EQ(*precision_at({p, y, {}}, 0.8), 1);
}

TEST(Metrics, NanNamesItsSample) {
  const std::vector<double> p{.2, .5, std::numeric_limits<double>::quiet_NaN(), .9};
  const std::vector<float> y{0, 1, 0, 1};
  for (const auto& metric : metrics()) {
    try {
      metric.function({p, y, {}});
      ADD_FAILURE() << metric.name << " took a NaN";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::numbers) << metric.name;
      EXPECT_EQ(error.where(), "sample 2") << metric.name;
    }
  }
}

TEST(Metrics, UnknownNameIsAnsweredWithTheNearest) {
  EXPECT_EQ(find_metric("auc").name, "auc");
  for (const auto& [wrong, near] : {std::pair{"acu", "auc"}, {"log_loss", "logloss"}, {"prauc", "pr_auc"}}) try {
      find_metric(wrong);
      ADD_FAILURE() << wrong << " was found";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      EXPECT_EQ(error.advice(), "did you mean '" + std::string(near) + "'?");
    }
}

TEST(Metrics, AnswersInTheOrderAsked) {
  const std::vector<double> p{.2, .7};
  const std::vector<float> y{0, 1};
  const std::vector<std::string> names{"logloss", "auc"};
  const auto values = evaluate_metrics(names, {p, y, {}});
  ASSERT_EQ(values.size(), 2U);
  EXPECT_EQ(values[0].first, "logloss");
  EXPECT_NEAR(*values[0].second, -(std::log(.8) + std::log(.7)) / 2, 1e-15);
  EXPECT_EQ(values[1].first, "auc");
  EXPECT_DOUBLE_EQ(*values[1].second, 1);
}

TEST(Curves, RocOfTheTiedExample) {
  const std::vector<double> p{.1, .4, .4, .8, .8, .9};
  const std::vector<float> y{0, 0, 1, 1, 0, 1};
  const auto roc = roc_curve({p, y, {}});
  EXPECT_EQ(roc.x, (std::vector<double>{0, 0, 1.0 / 3, 2.0 / 3, 1}));
  EXPECT_EQ(roc.y, (std::vector<double>{0, 1.0 / 3, 2.0 / 3, 1, 1}));
  const auto pr = precision_recall_curve({p, y, {}});
  EXPECT_EQ(pr.x, (std::vector<double>{0, 1.0 / 3, 2.0 / 3, 1, 1}));
  EXPECT_EQ(pr.y, (std::vector<double>{1, 1, 2.0 / 3, 3.0 / 5, 1.0 / 2}));
}

TEST(Curves, ThinnedRocKeepsItsEndsAndItsArea) {
  std::vector<double> p;
  std::vector<float> y;
  for (int i = 0; i < 5000; ++i) {
    p.push_back((i * 7919 % 5000) / 5000.0);
    y.push_back(std::fmod(i * 0.618034, 1.0) < p.back() * p.back() ? 1 : 0);
  }
  const auto full = roc_curve({p, y, {}}, 1 << 20), thin = roc_curve({p, y, {}}, 128);
  EXPECT_EQ(full.x.size(), 5001U);
  EXPECT_LE(thin.x.size(), 128U);
  EXPECT_GE(thin.x.size(), 100U);
  for (const auto* curve : {&full, &thin}) {
    EXPECT_EQ(curve->x.front(), 0);
    EXPECT_EQ(curve->y.front(), 0);
    EXPECT_EQ(curve->x.back(), 1);
    EXPECT_EQ(curve->y.back(), 1);
    double area = 0;
    for (std::size_t i = 1; i < curve->x.size(); ++i)
      area += (curve->x[i] - curve->x[i - 1]) * (curve->y[i] + curve->y[i - 1]) / 2;
    EXPECT_NEAR(area, *auc({p, y, {}}), curve == &full ? 1e-12 : 2e-3);
  }
}

TEST(Curves, CalibrationBinsAreEqualInCountAndNeverSplitATie) {
  std::vector<double> p;
  std::vector<float> y;
  for (int i = 0; i < 100; ++i) {
    p.push_back(i / 100.0);
    y.push_back(i % 10 == 0);
  }
  const auto even = calibration_curve({p, y, {}}, 10);
  ASSERT_EQ(even.x.size(), 10U);
  for (int bin = 0; bin < 10; ++bin) {
    EXPECT_NEAR(even.x[bin], bin / 10.0 + 0.045, 1e-12);
    EXPECT_NEAR(even.y[bin], 0.1, 1e-12);
  }
  const std::vector<double> constant(100, 0.3);
  const auto one = calibration_curve({constant, y, {}}, 10);
  ASSERT_EQ(one.x.size(), 1U);
  EXPECT_NEAR(one.x[0], 0.3, 1e-12);
  EXPECT_NEAR(one.y[0], 0.1, 1e-12);
}

}  // namespace
}  // namespace swallowtail
