#include "trainer/cli/ranks.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "trainer/training/threads.h"

namespace swallowtail::cli {

int rank_from_environment() noexcept {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"})
    if (const char* text = std::getenv(name)) return std::atoi(text);
  return 0;
}

int Ranks::rank() const noexcept { return MpiSession::rank(); }
int Ranks::world_size() const noexcept { return MpiSession::world_size(); }

Communicator& Ranks::connect(double timeout_s) {
  if (communicator_) return *communicator_;
  communicator_ = make_mpi_communicator(MpiOptions{.timeout_s = timeout_s});
  const int cores = cores_of_ranks(*communicator_), local_ranks = communicator_->node_local_ranks();
  if (local_ranks > cores && communicator_->rank() == 0)
    fmt::print(stderr,
               "swallowtail: warning: {} ranks share {} cores of this machine; it works, but slower than {} would\n",
               local_ranks, cores, cores);
  return *communicator_;
}

}  // namespace swallowtail::cli
