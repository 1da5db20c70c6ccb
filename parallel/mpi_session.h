// The inside of MpiSession, for the MPI files of this room alone: it includes mpi.h.
#pragma once

#define OMPI_SKIP_MPICXX 1  // the C++ bindings of MPI 2 are not used
#include <mpi.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "parallel/activity.h"

namespace swallowtail {

/// What lives as long as MPI runs.
struct MpiState {
  MPI_Comm world = MPI_COMM_NULL;  // duplicates, so that no other library's messages meet ours
  MPI_Comm node = MPI_COMM_NULL;   // the ranks of this machine
  int rank = 0, world_size = 1;
  int node_rank = 0, node_ranks = 1;
  std::vector<int> node_of;  // [world_size], machines numbered in the order of their first rank
  std::shared_ptr<void> board_memory;
  std::optional<ActivityBoard> board;
  std::unique_ptr<Reporter> reporter;
};

/// Null before MpiSession and after its end.
MpiState* mpi_state() noexcept;

/// Throws Error (ExitCode::rank) where an MPI call did not succeed; `where` as in Error.
void check_mpi(int result, std::string_view function, std::string_view where);

}  // namespace swallowtail
