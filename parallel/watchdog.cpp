#include "parallel/watchdog.h"

#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

namespace swallowtail {

namespace {

constexpr double kTick_s = 0.1;
// Death is looked at twice, so that a rank that leaves well has written so. The second look follows soon: mpirun, which
// sees the death as well, kills all other ranks a second later, and they may not have said by then who it was on a busy
// machine.
constexpr double kSecondLook_s = 0.02;

/// A process that has exited and was collected by its parent. Pids of another namespace are never gone by this measure:
/// they were checked when they were written (mpi_session.cpp).
bool is_gone(int pid) { return pid > 0 && kill(pid, 0) != 0 && errno == ESRCH; }

}  // namespace

std::vector<RankState> rank_states(const ActivityBoard& board, int world_size) {
  std::vector<RankState> states;
  for (int rank = 0; rank < world_size; ++rank) states.push_back({rank, std::nullopt});
  for (const auto& slot : board.slots()) {
    if (slot.rank() < 0 || slot.rank() >= world_size) continue;
    auto& state = states[static_cast<std::size_t>(slot.rank())];
    state.report = slot.read();
    const bool is_running = !state.report || !state.report->finished;
    state.is_dead = is_running && is_gone(slot.pid());
    state.silent_s = is_running ? slot.seconds_since_beat() : 0;
  }
  return states;
}

Watchdog::Watchdog(ActivityBoard& board, Reporter& reporter, int rank, int world_size, double timeout_s,
                   std::function<void(const Error&)> on_expiry)
    : board_(board),
      reporter_(reporter),
      rank_(rank),
      world_size_(world_size),
      timeout_s_(timeout_s),
      on_expiry_(std::move(on_expiry)),
      thread_([this] { run(); }) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
  }
  stop_changed_.notify_all();
  thread_.join();
}

void Watchdog::begin(const Tag& tag, std::span<const int> members, bool counts) {
  counts ? reporter_.begin_call(tag) : reporter_.begin_wait(tag);
  const std::lock_guard lock(mutex_);
  members_ = members;
  tag_ = tag;
  waited_s_ = 0;
}

void Watchdog::end() {
  reporter_.end_call();
  const std::lock_guard lock(mutex_);
  tag_.reset();
  members_ = {};
}

void Watchdog::beat() {
  for (auto& slot : board_.slots())
    if (slot.rank() == rank_) slot.beat();
}

void Watchdog::run() {
  sigset_t all;  // signals are the main thread's business
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  auto last_ns = monotonic_ns();
  beat();
  std::unique_lock lock(mutex_);
  for (;;) {
    stop_changed_.wait_for(lock, std::chrono::duration<double>(sees_death_ ? kSecondLook_s : kTick_s),
                           [&] { return stops_; });
    if (stops_) return;
    const auto now_ns = monotonic_ns();
    // A job that was suspended as a whole (Slurm, a laptop's lid) wakes with a long tick: that is no waiting.
    const double elapsed_s = std::min(static_cast<double>(now_ns - last_ns) * 1e-9, 10 * kTick_s);
    last_ns = now_ns;
    if (const auto error = look(elapsed_s)) {
      lock.unlock();
      on_expiry_(*error);
      return;
    }
  }
}

/// One tick, under the lock.
std::optional<Error> Watchdog::look(double elapsed_s) {
  beat();
  if (tag_) waited_s_ += elapsed_s;
  const auto states = rank_states(board_, world_size_);
  const bool saw_death = std::exchange(sees_death_, std::ranges::any_of(states, &RankState::is_dead));
  if ((saw_death && sees_death_) || (tag_ && waited_s_ >= timeout_s_))
    return missed_call(rank_, tag_.value_or(Tag{}), waited_s_, states, members_);
  return std::nullopt;
}

}  // namespace swallowtail
