// The ranks of this run as the command line sees them: started once in main, connected by the command that needs them.
#pragma once

#include <memory>

#include "parallel/communicator.h"
#include "parallel/mpi_communicator.h"

namespace swallowtail::cli {

/// This process's rank before or without MPI, from what mpirun or srun set in the environment; 0 without them.
int rank_from_environment() noexcept;

/// Lives in main, outside of everything that may throw: leaving MPI while another rank waits in a call would hang.
class Ranks {
 public:
  int rank() const noexcept;
  int world_size() const noexcept;

  /// The communicator, made by the first call (collective). Warns once where a machine has more ranks than cores.
  Communicator& connect(double timeout_s);

 private:
  MpiSession session_;
  std::unique_ptr<Communicator> communicator_;
};

}  // namespace swallowtail::cli
