// Stands in for trainer/cli/ranks.cpp, so that the whole program runs on the odd communicator and no other line of it
// is different.
#include <cstdlib>

#include "tests/fault/odd_communicator.h"
#include "trainer/cli/ranks.h"

namespace swallowtail::cli {

int rank_from_environment() noexcept {
  const char* const text = std::getenv("OMPI_COMM_WORLD_RANK");
  return text ? std::atoi(text) : 0;
}

int Ranks::rank() const noexcept { return MpiSession::rank(); }
int Ranks::world_size() const noexcept { return MpiSession::world_size(); }

Communicator& Ranks::connect(double timeout_s) {
  if (!communicator_)
    communicator_ = fault::make_odd_communicator(make_mpi_communicator(MpiOptions{.timeout_s = timeout_s}),
                                                 fault::fault_from_environment());
  return *communicator_;
}

}  // namespace swallowtail::cli
