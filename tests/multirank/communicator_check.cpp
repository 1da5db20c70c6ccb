// Run by mpirun: the laws of the MPI communicator, with whole messages and with messages cut into small parts, and the
// digest of fixed-order sums, which multirank_test.py compares over world sizes. With the argument `time` it measures
// what comparing tags costs. Exit code 1 where a law is broken.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string_view>

#include "parallel/mpi_communicator.h"
#include "tests/multirank/communicator_laws.h"
#include "tests/multirank/pending_laws.h"

namespace swallowtail {
namespace {

void time_calls(Communicator& ranks) {
  using Clock = std::chrono::steady_clock;
  const auto time = [&](std::string_view name, auto call) {
    constexpr int kCalls = 2000;
    double best_us = 1e9;
    for (int round = 0; round < 5; ++round) {
      ranks.barrier({"start"});
      const auto start = Clock::now();
      for (int i = 0; i < kCalls; ++i) call();
      best_us = std::min(best_us, std::chrono::duration<double, std::micro>(Clock::now() - start).count() / kCalls);
    }
    if (ranks.rank() == 0) fmt::print("{}: {:.2f} us\n", name, best_us);
  };
  std::vector<float> value(1);
  const int self = ranks.rank(), world_size = ranks.world_size();
  time("barrier, which is the comparison alone", [&] { ranks.barrier({"time"}); });
  time("all_reduce of 4 bytes", [&] { ranks.all_reduce_sum({"time"}, std::span(value)); });
  time("exchange of 4 bytes", [&] {
    ranks.exchange({"time"}, (self + 1) % world_size, std::as_bytes(std::span(value)),
                   (self + world_size - 1) % world_size, std::as_writable_bytes(std::span(value)));
  });
}

int run(std::string_view what) {
  if (what == "time") {
    time_calls(*make_mpi_communicator());
    return 0;
  }
  int code = 0;
  // Whole messages; small parts, and the ranks as if on several machines.
  for (const bool with_machines : {false, true}) {
    std::vector<int> machines;
    for (int rank = 0; with_machines && rank < MpiSession::world_size(); ++rank) machines.push_back(rank % 3);
    const auto ranks = make_mpi_communicator(
        {.timeout_s = 60, .part_bytes = std::int64_t{1} << (with_machines ? 6 : 30), .machines = machines});
    CommunicatorLaws laws(*ranks);
    laws.check(20);
    const auto digest = laws.tree_digest();
    if (ranks->rank() == 0) fmt::print("digest {:016x} of {} ranks\n", digest, ranks->world_size());
    PendingLaws pending(*ranks);
    pending.check(20);
    pending.check_groups(2, 2);
    auto broken = laws.broken();
    broken.insert(broken.end(), pending.broken().begin(), pending.broken().end());
    if (ranks->node_local_ranks() != ranks->world_size() && !with_machines)
      broken.emplace_back("all ranks of this test are on one machine");
    for (const auto& law : broken) fmt::print(stderr, "broken on rank {}: {}\n", ranks->rank(), law);
    if (!broken.empty()) code = 1;
  }
  return code;
}

}  // namespace
}  // namespace swallowtail

int main(int argc, char** argv) {
  using swallowtail::MpiSession;
  try {
    const MpiSession session;
    const int code = swallowtail::run(argc > 1 ? argv[1] : "all");
    if (code != 0) MpiSession::abort(code);
  } catch (const swallowtail::Error& error) {
    MpiSession::fail(error);
  }
}
