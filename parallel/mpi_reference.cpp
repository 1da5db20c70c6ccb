#include "parallel/mpi_reference.h"

#include "parallel/mpi_session.h"

namespace swallowtail {

namespace {

struct Parts {
  explicit Parts(std::span<const std::int64_t> offsets) {
    for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
      counts.push_back(static_cast<int>(offsets[i + 1] - offsets[i]));
      starts.push_back(static_cast<int>(offsets[i]));
    }
  }
  std::vector<int> counts, starts;
};

}  // namespace

void mpi_alltoallv(ConstChunks send, Chunks recv) {
  const Parts out(send.offsets), in(recv.offsets);
  check_mpi(MPI_Alltoallv(send.bytes.data(), out.counts.data(), out.starts.data(), MPI_BYTE, recv.bytes.data(),
                          in.counts.data(), in.starts.data(), MPI_BYTE, mpi_state()->world),
            "MPI_Alltoallv", "benchmark");
}

}  // namespace swallowtail
