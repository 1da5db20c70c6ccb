#include "trainer/training/schedule.h"

#include <gtest/gtest.h>

#include <string>

namespace swallowtail {
namespace {

RateSchedule schedule_of(const std::string& train, std::int64_t total_steps) {
  return {Experiment::parse("data: {source: synthetic}\ntrain: {" + train + "}\n"), total_steps};
}

TEST(RateSchedule, WarmsUpLinearlyThenStays) {
  const RateSchedule schedule = schedule_of("warmup_steps: 4", 100);
  EXPECT_DOUBLE_EQ(schedule.factor(1), 0.25);
  EXPECT_DOUBLE_EQ(schedule.factor(4), 1);
  EXPECT_DOUBLE_EQ(schedule.factor(100), 1);
}

TEST(RateSchedule, CosineFallsFromOneToTheFloor) {
  const RateSchedule schedule = schedule_of("schedule: cosine", 100);
  EXPECT_NEAR(schedule.factor(50), 0.5, 1e-12);
  EXPECT_NEAR(schedule.factor(25), 0.85355339059327373, 1e-12);
  EXPECT_NEAR(schedule.factor(100), 0, 1e-12);
  EXPECT_NEAR(schedule_of("schedule: cosine, final_learning_rate: 0.1", 100).factor(100), 0.1, 1e-12);
}

TEST(RateSchedule, PolynomialIsTheReferenceDecay) {
  // lr * ((N - k) / N)^2 over 10 steps from step 20 on, then frozen at the floor.
  const RateSchedule schedule =
      schedule_of("schedule: polynomial, decay_start_step: 20, decay_steps: 10, final_learning_rate: 1e-7", 1000);
  EXPECT_DOUBLE_EQ(schedule.factor(20), 1);
  EXPECT_NEAR(schedule.factor(25), 0.25, 1e-12);
  EXPECT_NEAR(schedule.factor(29), 0.01, 1e-12);
  EXPECT_DOUBLE_EQ(schedule.factor(31), 1e-7);
}

TEST(RateSchedule, StepsByGamma) {
  const RateSchedule schedule = schedule_of("schedule: step, step_size: 10, step_gamma: 0.5, warmup_steps: 2", 100);
  EXPECT_DOUBLE_EQ(schedule.factor(11), 1);
  EXPECT_DOUBLE_EQ(schedule.factor(12), 0.5);
  EXPECT_DOUBLE_EQ(schedule.factor(32), 0.125);
}

}  // namespace
}  // namespace swallowtail
