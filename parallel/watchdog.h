// A thread a rank that ends a job whose ranks wait for one that will not come: mpirun never notices a rank that is
// stuck but alive. It also notices at once when another rank of this machine has died.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "parallel/activity.h"

namespace swallowtail {

/// What is known of all ranks: those on the board, and as unknown the ranks of other machines.
std::vector<RankState> rank_states(const ActivityBoard& board, int world_size);

class Watchdog {
 public:
  /// `on_expiry` gets the error on the watchdog's thread, once; it is expected to end the process.
  /// Requires timeout_s > 0. The board and the reporter outlive this.
  Watchdog(ActivityBoard& board, Reporter& reporter, int rank, int world_size, double timeout_s,
           std::function<void(const Error&)> on_expiry);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// While it lives, this rank is in the call and its time runs. `members`: the ranks of the call's group, kept by the
  /// caller; empty: all. `counts`: false where the call was counted when it was started.
  class Watch {
   public:
    Watch(Watchdog& watchdog, const Tag& tag, std::span<const int> members = {}, bool counts = true)
        : watchdog_(watchdog) {
      watchdog_.begin(tag, members, counts);
    }
    ~Watch() { watchdog_.end(); }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

   private:
    Watchdog& watchdog_;
  };

 private:
  void begin(const Tag& tag, std::span<const int> members, bool counts);
  void end();
  void beat();
  void run();
  std::optional<Error> look(double elapsed_s);

  ActivityBoard& board_;
  Reporter& reporter_;
  const int rank_, world_size_;
  const double timeout_s_;
  const std::function<void(const Error&)> on_expiry_;

  std::mutex mutex_;
  std::condition_variable stop_changed_;
  bool stops_ = false;
  std::optional<Tag> tag_;  // of the call that this rank is in
  std::span<const int> members_;
  double waited_s_ = 0;
  bool sees_death_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace swallowtail
