#include "trainer/training/threads.h"

#include <ATen/Parallel.h>
#include <omp.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "trainer/report/machine.h"

namespace swallowtail {

namespace {

/// One entry a core of the machine: 1 where some rank may run on it.
std::int64_t cores_of_all_masks(Communicator& ranks) {
  std::vector<std::int64_t> allowed(CPU_SETSIZE, 0);
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof(mask), &mask) == 0)
    for (int core = 0; core < CPU_SETSIZE; ++core) allowed[core] = CPU_ISSET(core, &mask) ? 1 : 0;
  ranks.all_reduce_max(Tag{"cores", 0}, std::span(allowed));
  return std::ranges::count(allowed, 1);
}

}  // namespace

int cores_of_ranks(Communicator& ranks) {
  const std::int64_t together = cores_of_all_masks(ranks);
  const bool one_machine = ranks.node_local_ranks() == ranks.world_size();
  const auto cores = static_cast<double>(one_machine ? together : sysconf(_SC_NPROCESSORS_ONLN));
  const double quota = machine_facts().cpu_quota;
  return std::max(1, static_cast<int>(std::ceil(quota > 0 ? std::min(cores, quota) : cores)));
}

void set_threads(const Experiment& experiment, Communicator& ranks) {
  const int cores = cores_of_ranks(ranks);
  auto threads = static_cast<int>(experiment.integer("train.threads"));
  if (threads == 0)
    threads = std::getenv("OMP_NUM_THREADS") ? omp_get_max_threads()
                                             : std::max(1, cores / std::max(1, ranks.node_local_ranks()));
  at::set_num_threads(threads);
  omp_set_num_threads(threads);
}

}  // namespace swallowtail
