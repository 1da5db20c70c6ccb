// What every rank of a machine is doing, in memory that the ranks share: the side channel that says who is missing when
// a collective hangs. A writer never waits for a reader.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/communicator.h"
#include "parallel/error.h"

namespace swallowtail {

/// Nanoseconds of CLOCK_MONOTONIC: the same clock in every process of a machine.
std::int64_t monotonic_ns() noexcept;

/// What a rank last said. Plain data: it is copied word by word into shared memory.
struct Report {
  std::array<char, 56> what{};  // cut to 55 bytes, zero-terminated
  std::int64_t step = 0;
  std::int64_t since_ns = 0;  // monotonic_ns()
  std::uint64_t calls = 0;    // collectives begun so far; a rank with fewer is one that others wait for
  bool in_call = false;       // inside a collective (as opposed to computing)
  bool finished = false;      // the rank has left on good terms
  std::array<bool, 6> unused{};
};
static_assert(sizeof(Report) % sizeof(std::uint64_t) == 0);

/// One rank's place on the board. One process writes, any may read. A reader of a half-written report tries again.
class alignas(64) ActivitySlot {
 public:
  void write(const Report& report) noexcept;
  /// Empty before the first write, and where the writer died or was stopped in the middle of one.
  std::optional<Report> read() const noexcept;
  void beat() noexcept { beat_ns_.store(monotonic_ns(), std::memory_order_relaxed); }
  double seconds_since_beat() const noexcept;
  void set_owner(int rank, int pid) noexcept {
    rank_ = rank;
    pid_ = pid;
  }
  int rank() const noexcept { return rank_; }
  int pid() const noexcept { return pid_; }

 private:
  static constexpr std::size_t kWords = sizeof(Report) / sizeof(std::uint64_t);
  std::atomic<std::uint64_t> version_{0};  // odd while it is written
  std::array<std::atomic<std::uint64_t>, kWords> words_{};
  std::atomic<std::int64_t> beat_ns_{0};
  std::atomic<int> rank_{-1}, pid_{0};
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);  // a lock would not work between processes

/// The slots of the ranks of one machine. Lives in memory that the caller keeps (shared, or of this process).
class ActivityBoard {
 public:
  static std::size_t bytes(int ranks) noexcept;
  /// `memory`: bytes(ranks) long, 64-byte aligned. The one who creates it passes fresh = true before others look.
  ActivityBoard(void* memory, int ranks, bool fresh);
  std::span<ActivitySlot> slots() const noexcept { return slots_; }
  /// True for the first caller of all ranks only: so a failure that all ranks see is printed once.
  bool claim_report() noexcept { return claimed_->exchange(1) == 0; }

 private:
  std::atomic<std::uint32_t>* claimed_;
  std::span<ActivitySlot> slots_;
};

/// Writes the slot of this rank. Any thread of the process may call.
class Reporter {
 public:
  explicit Reporter(ActivitySlot& slot) : slot_(&slot) {}
  void phase(std::string_view what, std::int64_t step) noexcept;
  /// This rank has come to a collective. Ranks whose counts differ are compared by it.
  void count_call() noexcept;
  /// This rank waits in a call.
  void begin_wait(const Tag& tag) noexcept;
  void begin_call(const Tag& tag) noexcept;  // count_call() and begin_wait() in one
  void end_call() noexcept;                  // the phase from before the call goes on
  void finish() noexcept;

 private:
  void wait_in(const Tag& tag, bool counts) noexcept;

  std::mutex mutex_;
  ActivitySlot* slot_;
  Report phase_{}, current_{};
};

/// Says what this rank does from now on ("data.next_batch", "forward"), for the line of a rank that others miss.
/// Cheap, any place: does nothing on a thread that belongs to no rank.
void report_activity(std::string_view what, std::int64_t step) noexcept;

/// While it lives, report_activity() of this thread goes to `reporter`. Nests.
class BoundReporter {
 public:
  explicit BoundReporter(Reporter& reporter) noexcept;
  ~BoundReporter();
  BoundReporter(const BoundReporter&) = delete;
  BoundReporter& operator=(const BoundReporter&) = delete;

 private:
  Reporter* previous_;
};

/// What is known of one rank when a call hangs.
struct RankState {
  int rank = 0;
  std::optional<Report> report;  // empty: unknown (another machine, or it has said nothing yet)
  bool is_dead = false;          // its process is gone
  double silent_s = 0;           // time since its watchdog's last beat; a stopped process does not beat
};

/// The error of a call that `self` waits in: names the rank that is missing (dead first, then stopped, then the one
/// that is behind or computes while others wait), since when, what it was doing, and what every other rank last
/// reported. An empty operation: `self` is in no call, and another rank is dead. `members`: the ranks of the call's
/// group, who are asked before the others; empty: all.
Error missed_call(int self, const Tag& tag, double waited_s, std::vector<RankState> ranks,
                  std::span<const int> members = {});

}  // namespace swallowtail
