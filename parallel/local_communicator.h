// Ranks as threads of one process: for tests, for one rank without MPI, for checks that compare world sizes.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "parallel/communicator.h"

namespace swallowtail {

struct LocalOptions {
  double timeout_s = 60;  // a rank that others wait for longer than this ends the run with Error (ExitCode::rank)
  /// A machine for each rank, any numbers, so that algorithms that know of machines can be tried; empty: one machine.
  std::vector<int> machines{};
};

/// Runs `body` once a rank, each on its own thread, and returns when all have ended. The first exception of a rank is
/// thrown again here; the other ranks are released from their calls with an Error (ExitCode::rank) that names it. A
/// rank that returns while others wait for it is such a failure too. Reductions add in the order of ranks.
void run_ranks(int world_size, const std::function<void(Communicator&)>& body, LocalOptions options = {});

/// A world of one rank: every collective is a copy.
std::unique_ptr<Communicator> make_single_rank();

}  // namespace swallowtail
