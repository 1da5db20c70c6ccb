// Real ranks: processes started by mpirun or srun. Works as one rank without them too. Knows mpi.h only inside.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "parallel/communicator.h"
#include "parallel/error.h"

namespace swallowtail {

/// MPI from start to end, once a process, on the main thread, before any communicator and outliving it.
/// It asks for MPI_THREAD_MULTIPLE (the watchdog aborts while the main thread waits) and refuses less. It lets waiting
/// ranks yield their core where a machine has no more cores than ranks. Environment variables that are set already win.
class MpiSession {
 public:
  /// Collective. Errors: Error (ExitCode::rank) where MPI does not start as needed.
  MpiSession();
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  static int rank() noexcept;        // 0 without a session
  static int world_size() noexcept;  // 1 without a session

  /// Ends all ranks with `code`, which mpirun returns. Flushes standard output and error. A plain exit would leave the
  /// others waiting. Without a session: exits. (A rank that a signal kills cannot call this: mpirun sees its death,
  /// ends the others and returns 128 + signal, so 137 and not 5 after SIGKILL.)
  [[noreturn]] static void abort(int code);

  /// Whether this rank is to print the failure that it ends the run with: the first of its machine that asks. The
  /// others wait in here for their end, which is near. `all_may_fail`: as often all ranks fail alike, machines other
  /// than rank 0's leave it a second to say so for all.
  static bool claim_failure(bool all_may_fail);

  /// "rank 1 in forward and backward (step 7)": what this rank last said to be doing, for the error of a rank that
  /// fails alone. Empty outside of steps and where there is only one rank.
  static std::string whereabouts();

  /// Prints the error's line on standard error and ends all ranks with its code. Where several ranks of a machine fail
  /// together (all see the same bad key), only the first prints. Any thread may call.
  [[noreturn]] static void fail(const Error& error);
};

struct MpiOptions {
  double timeout_s = 300;  // parallel.timeout_s; longer than the longest work that one rank does while others wait
  /// The largest message handed to MPI, whose counts are 32 bits. Tests make it small.
  std::int64_t part_bytes = std::int64_t{1} << 30;
  /// A machine for each rank, any numbers, in place of the real ones, so that algorithms that know of machines can be
  /// tried on one; empty: the real ones.
  std::vector<int> machines{};
};

/// The communicator over all ranks of the session, with its watchdog. Collective. The calling thread's
/// report_activity() goes to it. Every call but exchange() first compares tag and sizes in one MPI_Alltoall of 32 bytes
/// a rank; exchange() sends 104 bytes beside the data. Measured on 2 cores (`communicator_check time`):
/// the comparison takes 0.9 µs on 2 ranks (1.9 µs where they yield) and about 95 µs on 8 ranks that share the cores.
std::unique_ptr<Communicator> make_mpi_communicator(MpiOptions options = {});

}  // namespace swallowtail
