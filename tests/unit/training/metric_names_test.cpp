// A wrong metric name is told before any data are read, at its key.
#include <gtest/gtest.h>

#include "trainer/training/scorer.h"

namespace swallowtail {
namespace {

/// The error's whole line, or nothing.
std::string refusal(const std::string& yaml) {
  try {
    check_metric_names(Experiment::parse("data: {source: synthetic}\n" + yaml));
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.message();
  }
}

TEST(MetricNames, KnownOnesPass) {
  EXPECT_EQ(refusal(""), "");
  EXPECT_EQ(refusal("train: {early_stopping: {metric: logloss}}\n"), "");
}

TEST(MetricNames, WrongOnesAreNamedWithThePlace) {
  EXPECT_NE(refusal("evaluation: {metrics: [auc, loglos]}\n").find("did you mean 'logloss'"), std::string::npos);
  EXPECT_NE(refusal("evaluation: {metrics: [auc, loglos]}\n").find("experiment.yaml:2:"), std::string::npos);
  EXPECT_NE(refusal("train: {early_stopping: {metric: acu}}\n").find("did you mean 'auc'"), std::string::npos);
  EXPECT_NE(refusal("evaluation: {metrics: []}\n"), "");
}

TEST(MetricNames, TheSteeringMetricMustBeComputedAndHaveABestEnd) {
  EXPECT_NE(refusal("train: {early_stopping: {metric: pr_auc}}\n").find("'pr_auc' is not computed"), std::string::npos);
  EXPECT_NE(refusal("train: {early_stopping: {metric: calibration}}\n").find("best at 1"), std::string::npos);
  EXPECT_NE(refusal("evaluation: {metrics: [calibration, auc]}\n").find("best at 1"), std::string::npos);
}

}  // namespace
}  // namespace swallowtail
