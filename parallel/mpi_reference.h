// The MPI library's own exchange, without tags, watchdog or choice: the peer that measurements compare with.
#pragma once

#include "parallel/communicator.h"

namespace swallowtail {

/// MPI_Alltoallv of bytes over all ranks of the MpiSession. Requires offsets below 2^31 and sizes that agree.
void mpi_alltoallv(ConstChunks send, Chunks recv);

}  // namespace swallowtail
