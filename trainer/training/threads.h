// How many cores the ranks of a machine have together, and so how many threads a rank computes with.
#pragma once

#include "parallel/communicator.h"
#include "trainer/config/experiment.h"

namespace swallowtail {

/// Cores that this machine's ranks may run on together (mpirun may have bound each to its own), within the control
/// group's quota; at least 1. Over several machines: this machine's cores. Collective.
int cores_of_ranks(Communicator& ranks);

/// train.threads, else OMP_NUM_THREADS, else the cores divided by this machine's ranks: for OpenMP and LibTorch alike.
/// Collective.
void set_threads(const Experiment& experiment, Communicator& ranks);

}  // namespace swallowtail
