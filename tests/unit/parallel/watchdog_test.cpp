// The board, the words about a missing rank, and the watchdog's clock. Real processes and signals: tests/multirank.
#include "parallel/watchdog.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <future>

#include "parallel/agreement.h"

namespace swallowtail {
namespace {

using std::chrono::milliseconds;

struct Board {
  explicit Board(int ranks)
      : memory(std::aligned_alloc(64, ActivityBoard::bytes(ranks)), std::free), board(memory.get(), ranks, true) {
    for (int rank = 0; rank < ranks; ++rank) slot(rank).set_owner(rank, 0);
  }
  ActivitySlot& slot(int rank) { return board.slots()[static_cast<std::size_t>(rank)]; }
  std::unique_ptr<void, void (*)(void*)> memory;
  ActivityBoard board;
};

Report report(std::string_view what, std::int64_t step, std::uint64_t calls, bool in_call, double seconds_ago) {
  Report made;
  std::copy(what.begin(), what.end(), made.what.begin());
  made.step = step;
  made.calls = calls;
  made.in_call = in_call;
  made.since_ns = monotonic_ns() - static_cast<std::int64_t>(seconds_ago * 1e9);
  return made;
}

TEST(MissedCall, NamesTheRankThatIsBehindAndEveryLastReport) {
  const Error error = missed_call(0, {"pooled", 812}, 300,
                                  {{0, report("pooled", 812, 50, true, 300)},
                                   {1, report("pooled", 812, 50, true, 300)},
                                   {2, report("pooled", 812, 50, true, 300)},
                                   {3, report("data.next_batch", 812, 49, false, 301)}});
  EXPECT_EQ(error.code(), ExitCode::rank);
  EXPECT_EQ(
      error.message(),
      "swallowtail: error: rank 3 missed pooled (step 812) for 300 s, at rank 3 in data.next_batch (step 812) for "
      "301 s; see its log.txt; last reports: rank 3 in data.next_batch (step 812) for 301 s; ranks 0-2 in pooled "
      "(step 812) for 300 s");
}

TEST(MissedCall, DeadComesBeforeStoppedBeforeBehind) {
  const auto late = report("forward", 5, 1, false, 10), waiting = report("pooled", 5, 2, true, 10);
  const auto fact_of = [](std::vector<RankState> states) { return missed_call(0, {"pooled", 5}, 10, states).fact(); };
  EXPECT_EQ(fact_of({{0, waiting}, {1, late}, {2, waiting, false, 9.0}, {3, waiting, true}}),
            "rank 3 died before pooled (step 5) was over");
  EXPECT_EQ(fact_of({{0, waiting}, {1, late}, {2, waiting, false, 9.0}}), "rank 2 missed pooled (step 5) for 10 s");
  EXPECT_EQ(fact_of({{0, waiting}, {1, late}, {2, waiting}, {3, late}}), "ranks 1, 3 missed pooled (step 5) for 10 s");
  EXPECT_EQ(fact_of({{0, waiting}, {1, std::nullopt}}), "rank 1 missed pooled (step 5) for 10 s");
  EXPECT_EQ(fact_of({{0, waiting}, {1, waiting}}),
            "pooled (step 5) did not end within 10 s though every rank came to it");
  EXPECT_EQ(missed_call(0, {}, 0, {{0, late}, {1, late, true}}).fact(), "rank 1 died");
}

TEST(MissedCall, RankThatComputesComesBeforeOneThatWaits) {
  const auto waiting = report("pooled", 5, 9, true, 10), waiting_behind = report("pooled", 4, 8, true, 10),
             behind = report("forward", 5, 8, false, 10), computing = report("forward", 5, 9, false, 10);
  const auto fact_of = [](std::vector<RankState> states, std::vector<int> members = {}) {
    return missed_call(0, {"pooled", 5}, 10, states, members).fact();
  };
  EXPECT_EQ(fact_of({{0, waiting}, {1, waiting_behind}, {2, behind}}), "rank 2 missed pooled (step 5) for 10 s");
  EXPECT_EQ(fact_of({{0, waiting}, {1, waiting_behind}, {2, computing}}), "rank 2 missed pooled (step 5) for 10 s");
  EXPECT_EQ(fact_of({{0, waiting}, {1, waiting_behind}, {2, waiting}}), "rank 1 missed pooled (step 5) for 10 s");
  // In a group its members are asked first, then whoever keeps one of them.
  EXPECT_EQ(fact_of({{0, waiting}, {1, behind}, {2, behind}}, {0, 2}), "rank 2 missed pooled (step 5) for 10 s");
  EXPECT_EQ(fact_of({{0, waiting}, {1, computing}, {2, waiting_behind}}, {0, 2}),
            "rank 1 missed pooled (step 5) for 10 s");
}

TEST(MissedCall, RanksOfOtherMachinesAreUnknown) {
  Board board(1);
  Reporter(board.slot(0)).begin_call({"pooled", 5});
  const auto error = missed_call(0, {"pooled", 5}, 10, rank_states(board.board, 3));
  EXPECT_EQ(error.where(), "rank 1 unknown");
  EXPECT_NE(error.advice().find("ranks 1-2 unknown"), std::string::npos) << error.advice();
}

TEST(Reporter, PhaseGoesOnAfterACallAndLongWordsAreCut) {
  Board board(1);
  Reporter reporter(board.slot(0));
  EXPECT_FALSE(board.slot(0).read().has_value());
  reporter.phase("forward", 3);
  reporter.begin_call({"pooled", 3});
  EXPECT_STREQ(board.slot(0).read()->what.data(), "pooled");
  EXPECT_TRUE(board.slot(0).read()->in_call);
  reporter.phase("data.prefetch", 4);  // by another thread
  EXPECT_STREQ(board.slot(0).read()->what.data(), "pooled");
  reporter.end_call();
  EXPECT_STREQ(board.slot(0).read()->what.data(), "data.prefetch");
  EXPECT_FALSE(board.slot(0).read()->in_call);
  EXPECT_EQ(board.slot(0).read()->calls, 1U);
  reporter.count_call();
  EXPECT_EQ(board.slot(0).read()->calls, 2U);
  EXPECT_STREQ(board.slot(0).read()->what.data(), "data.prefetch");
  reporter.begin_wait({"pooled", 3});
  EXPECT_EQ(board.slot(0).read()->calls, 2U);
  EXPECT_TRUE(board.slot(0).read()->in_call);
  reporter.end_call();
  reporter.phase(std::string(200, 'x'), 1);
  EXPECT_EQ(std::string(board.slot(0).read()->what.data()), std::string(55, 'x'));
}

TEST(Reporter, ActivityGoesToTheBoundReporterOfTheThread) {
  Board board(2);
  Reporter first(board.slot(0)), second(board.slot(1));
  report_activity("nowhere", 0);
  {
    const BoundReporter outer(first);
    {
      const BoundReporter inner(second);
      report_activity("inner", 1);
    }
    report_activity("outer", 2);
  }
  EXPECT_STREQ(board.slot(0).read()->what.data(), "outer");
  EXPECT_STREQ(board.slot(1).read()->what.data(), "inner");
}

TEST(ActivitySlot, ReaderNeverSeesHalfAReport) {
  Board board(1);
  std::atomic<bool> is_over{false};
  auto writer = std::async(std::launch::async, [&] {
    for (std::int64_t step = 0; !is_over; ++step) {
      Report made;
      made.what.fill(static_cast<char>('a' + step % 26));
      made.what.back() = 0;
      made.step = step % 26;
      board.slot(0).write(made);
    }
  });
  const auto end = std::chrono::steady_clock::now() + milliseconds(200);
  std::int64_t reports = 0;
  while (std::chrono::steady_clock::now() < end) {
    const auto seen = board.slot(0).read();
    if (!seen) continue;
    ++reports;
    const std::string expected(seen->what.size() - 1, static_cast<char>('a' + seen->step));
    EXPECT_EQ(std::string(seen->what.data()), expected);
  }
  EXPECT_GT(reports, 100);
  is_over = true;
}

TEST(ActivityBoard, OneRankAloneMayReport) {
  Board board(2);
  ActivityBoard same(board.memory.get(), 2, false);
  EXPECT_TRUE(board.board.claim_report());
  EXPECT_FALSE(same.claim_report());
  EXPECT_FALSE(board.board.claim_report());
}

TEST(Watchdog, SpeaksOnceACallIsPastItsTimeAndNotBefore) {
  Board board(2);
  Reporter reporter(board.slot(0)), other(board.slot(1));
  other.phase("data.next_batch", 9);
  std::promise<std::string> said;
  const auto start = std::chrono::steady_clock::now();
  Watchdog watchdog(board.board, reporter, 0, 2, 0.5, [&](const Error& error) { said.set_value(error.fact()); });
  auto words = said.get_future();
  {
    const Watchdog::Watch watch(watchdog, {"pooled", 9});
    ASSERT_EQ(words.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  }
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(450));
  EXPECT_EQ(words.get().substr(0, 31), "rank 1 missed pooled (step 9) f");
}

TEST(Watchdog, ManyShortCallsAreNoLongOne) {
  Board board(1);
  Reporter reporter(board.slot(0));
  std::atomic<bool> has_spoken{false};
  Watchdog watchdog(board.board, reporter, 0, 1, 0.5, [&](const Error&) { has_spoken = true; });
  const auto end = std::chrono::steady_clock::now() + milliseconds(1500);
  while (std::chrono::steady_clock::now() < end) {
    const Watchdog::Watch watch(watchdog, {"pooled", 1});
    std::this_thread::sleep_for(milliseconds(5));
  }
  std::this_thread::sleep_for(milliseconds(700));  // computing is no waiting
  EXPECT_FALSE(has_spoken);
}

TEST(Watchdog, DeathOfAnotherRankIsToldWithoutWaitingForTheTime) {
  Board board(2);
  Reporter reporter(board.slot(0)), other(board.slot(1));
  other.phase("forward", 4);
  const int child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  board.slot(1).set_owner(1, child);
  std::promise<std::string> said;
  auto words = said.get_future();
  Watchdog watchdog(board.board, reporter, 0, 2, 1000, [&](const Error& error) { said.set_value(error.message()); });
  const Watchdog::Watch watch(watchdog, {"pooled", 4});
  EXPECT_EQ(words.wait_for(milliseconds(700)), std::future_status::timeout);  // alive
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  ASSERT_EQ(words.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  EXPECT_EQ(words.get().find(
                "swallowtail: error: rank 1 died before pooled (step 4) was over, at rank 1 in forward (step 4)"),
            0U);
}

TEST(Watchdog, RankThatHasFinishedMayGo) {
  Board board(2);
  Reporter reporter(board.slot(0)), other(board.slot(1));
  other.phase("forward", 4);
  other.finish();
  const int child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  board.slot(1).set_owner(1, child);
  std::atomic<bool> has_spoken{false};
  Watchdog watchdog(board.board, reporter, 0, 2, 1000, [&](const Error&) { has_spoken = true; });
  std::this_thread::sleep_for(milliseconds(1000));
  EXPECT_FALSE(has_spoken);
}

TEST(CallHash, EveryPartCounts) {
  const Call call{Collective::all_reduce, {"pooled", 3, 4}, 5};
  EXPECT_EQ(call_hash(call), call_hash(Call{Collective::all_reduce, {std::string("pooled"), 3, 4}, 5}));
  for (const Call& other :
       {Call{Collective::barrier, {"pooled", 3, 4}, 5}, Call{Collective::all_reduce, {"poolee", 3, 4}, 5},
        Call{Collective::all_reduce, {"pooled", 4, 4}, 5}, Call{Collective::all_reduce, {"pooled", 3, 3}, 5},
        Call{Collective::all_reduce, {"pooled", 3, 4}, 6}, Call{Collective::all_reduce, {"pooled", 4, 3}, 5}})
    EXPECT_NE(call_hash(call), call_hash(other));
}

}  // namespace
}  // namespace swallowtail
