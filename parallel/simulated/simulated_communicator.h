// Virtual ranks: up to thousands in one process, on one thread, with real bytes and a virtual clock. Each rank is a
// fiber; the one whose time is earliest goes on first, so a run gives the same bytes and the same times every time.
// What a rank computes takes no virtual time unless it says so; what it sends takes the time of a NetworkClock.
#pragma once

#include <functional>
#include <vector>

#include "parallel/simulated/message_collectives.h"
#include "parallel/simulated/network.h"

namespace swallowtail {

class SimulatedCommunicator : public MessageCollectives {
 public:
  /// This rank's virtual time since the start.
  virtual double now_s() const noexcept = 0;
  /// This rank computes for so long.
  virtual void work(double seconds) = 0;
};

struct SimulatedOptions {
  NetworkDescription network{.name = "simulated", .node = {1e-6, 1e-7, 1e10}, .rail = {1e-5, 1e-6, 1e9}};
  std::vector<int> machines{};                       // of each rank, any numbers; empty: network.ranks_per_node on each
  std::size_t stack_bytes = std::size_t{256} << 10;  // of a rank; only what is touched takes memory
};

/// Runs `body` once a rank and returns the virtual time at which the last one ended. Errors: the first exception of a
/// rank is thrown again here; the other ranks get an Error (ExitCode::rank) that names it from the call that they are
/// in. Where ranks wait for what never comes (none can go on), the error names a rank, its call and whom it waits for.
/// Pending::test() takes a microsecond of virtual time where nothing is done yet.
double run_simulated(int world_size, const std::function<void(SimulatedCommunicator&)>& body,
                     const SimulatedOptions& options = {});

}  // namespace swallowtail
