#include "trainer/training/trace.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "parallel/local_communicator.h"
#include "trainer/training/phase_clock.h"

namespace swallowtail {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 3> kLanes{"read", "compute", "exchange"};

std::vector<json> complete_events(const json& trace) {
  std::vector<json> found;
  for (const json& event : trace.at("traceEvents"))
    if (event.at("ph") == "X") found.push_back(event);
  return found;
}

TEST(Trace, KeepsTheFirstStepsAndNoMore) {
  const auto alone = make_single_rank();
  Trace trace(2, *alone);
  trace.add(0, 1, 2);  // before the first step
  for (const std::int64_t step : {7, 7, 8, 9}) {
    trace.begin_step(step);
    trace.add(1, step * 10, step * 10 + 1);
  }
  std::vector<std::int64_t> steps;
  for (const TraceEvent& event : trace.events()) steps.push_back(event.step);
  EXPECT_EQ(steps, (std::vector<std::int64_t>{7, 7, 8}));
}

TEST(Trace, IsInMicrosecondsFromEachRanksOwnZero) {
  const std::vector<std::vector<TraceEvent>> events{{{5'000, 7'500, 3, 1}, {1'000, 9'001, 3, 2}},
                                                    {{1'005'000, 1'005'000, 3, 1}}};
  const std::vector<std::int64_t> zero_ns{1'000, 1'001'000};  // the second machine has run for longer
  const auto found = complete_events(json::parse(trace_json(events, zero_ns, kLanes)));
  ASSERT_EQ(found.size(), 3u);  // by rank, then by time: overlapping events of two lanes stay what they are
  const auto expect = [&](const json& event, int rank, int lane, const char* name, double ts, double dur) {
    EXPECT_EQ(event, (json{{"name", name},
                           {"ph", "X"},
                           {"pid", rank},
                           {"tid", lane},
                           {"ts", ts},
                           {"dur", dur},
                           {"args", {{"step", 3}}}}));
  };
  expect(found[0], 0, 2, "exchange", 0, 8.001);
  expect(found[1], 0, 1, "compute", 4, 2.5);
  expect(found[2], 1, 1, "compute", 4, 0);
}

TEST(Trace, NamesTheLanesThatARankUsed) {
  const std::vector<std::vector<TraceEvent>> events{{{0, 1, 1, 2}, {2, 3, 1, 2}}, {}};
  const json trace = json::parse(trace_json(events, std::vector<std::int64_t>{0, 0}, kLanes));
  std::vector<std::string> names;
  for (const json& event : trace.at("traceEvents"))
    if (event.at("ph") == "M" && event.at("args").contains("name"))
      names.push_back(std::to_string(event.at("pid").get<int>()) + " " +
                      event.at("args").at("name").get<std::string>());
  EXPECT_EQ(names, (std::vector<std::string>{"0 rank 0", "0 exchange", "1 rank 1"}));
}

TEST(Trace, AllRanksStandInOneFileAndOneTime) {
  const auto file = std::filesystem::temp_directory_path() / ("swallowtail_trace_" + std::to_string(getpid()));
  for (const int world_size : {1, 3}) {
    run_ranks(world_size, [&](Communicator& ranks) {
      Trace trace(10, ranks);
      trace.begin_step(1);
      // Rank r has r events. These times are the same instant, for the ranks share a clock.
      for (int i = 0; i < ranks.rank(); ++i) trace.add(0, 1'000'000'000'000'000, 1'000'000'000'000'000 + ranks.rank());
      trace.write(file, kLanes, ranks);
    });
    std::ifstream text(file);
    const auto found = complete_events(json::parse(text));
    ASSERT_EQ(found.size(), static_cast<std::size_t>(world_size * (world_size - 1) / 2));
    for (const json& event : found) {
      EXPECT_EQ(event.at("ts"), found[0].at("ts"));
      EXPECT_EQ(event.at("dur").get<double>(), event.at("pid").get<double>() * 1e-3);
    }
  }
  std::filesystem::remove(file);
}

TEST(PhaseClock, CountsAPhaseUntilItsScopeEndsWhereverItWasMoved) {
  const auto alone = make_single_rank();
  Trace trace(1, *alone);
  PhaseClock clock(&trace);
  clock.begin_step(1);
  {
    auto exchange = clock.time_beside(StepPhase::input_exchange);
    auto kept = std::move(exchange);
    { const auto timed = clock.time(StepPhase::update); }
    kept.end();
    kept.end();  // once is enough
  }
  ASSERT_EQ(trace.events().size(), 2u);
  const TraceEvent &update = trace.events()[0], &exchange = trace.events()[1];
  EXPECT_EQ(update.lane, static_cast<std::int64_t>(StepPhase::update));
  EXPECT_EQ(exchange.lane, static_cast<std::int64_t>(StepPhase::input_exchange));
  EXPECT_LE(exchange.begin_ns, update.begin_ns);
  EXPECT_GE(exchange.end_ns, update.end_ns);
  const auto seconds = [](const TraceEvent& event) {
    return static_cast<double>(event.end_ns - event.begin_ns) * 1e-9;
  };
  EXPECT_EQ(clock.seconds(StepPhase::update), seconds(update));
  EXPECT_EQ(clock.seconds(StepPhase::input_exchange), seconds(exchange));
  EXPECT_EQ(clock.seconds(StepPhase::evaluation), 0);
}

}  // namespace
}  // namespace swallowtail
