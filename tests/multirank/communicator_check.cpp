// Run by mpirun: the laws of the MPI communicator, with whole messages and with messages cut into small parts, and the
// digest of fixed-order sums, which multirank_test.py compares over world sizes. With the argument `time` it measures
// what a call costs, beside MPI's own. Exit code 1 where a law is broken.
#include <fmt/format.h>
#define OMPI_SKIP_MPICXX 1
#include <mpi.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string_view>

#include "parallel/activity.h"
#include "parallel/mpi_communicator.h"
#include "tests/multirank/communicator_laws.h"
#include "tests/multirank/pending_laws.h"

namespace swallowtail {
namespace {

using Clock = std::chrono::steady_clock;

/// Microseconds a call: the best of `rounds` series.
template <typename Call>
double time_us(Communicator& ranks, int rounds, int calls, Call call) {
  double best_us = 1e30;
  for (int round = 0; round < rounds; ++round) {
    ranks.barrier({"start"});
    const auto start = Clock::now();
    for (int i = 0; i < calls; ++i) call();
    best_us = std::min(best_us, std::chrono::duration<double, std::micro>(Clock::now() - start).count() / calls);
  }
  return best_us;
}

/// Beside MPI_Alltoallv itself, call by call in turns, so that a busy machine slows all alike; the time that one call
/// in ten stays below.
void time_all_to_all(Communicator& ranks) {
  const int world_size = ranks.world_size(), self = ranks.rank();
  if (self == 0)
    fmt::print("{:>10} {:>14} {:>12} {:>17} {:>15}  us, {} ranks\n", "bytes/peer", "MPI_Alltoallv", "all_to_all",
               "start_all_to_all", "start_messages", world_size);
  for (std::int64_t bytes = 16; bytes <= (std::int64_t{4} << 20); bytes *= 4) {
    const std::vector<std::int64_t> equal(static_cast<std::size_t>(world_size), bytes);
    const auto offsets = byte_offsets(equal, 1);
    std::vector<std::byte> send(static_cast<std::size_t>(offsets.back())), recv = send;
    const std::vector<int> counts(static_cast<std::size_t>(world_size), static_cast<int>(bytes));
    const std::vector<int> starts(offsets.begin(), offsets.end());
    const ConstChunks out{send, offsets};
    const Chunks in{recv, offsets};
    std::array<std::vector<double>, 4> us;
    const auto keep = [&](std::size_t i, auto call) {
      MPI_Barrier(MPI_COMM_WORLD);
      const auto start = Clock::now();
      call();
      call();
      us[i].push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count() / 2);
    };
    const int turns = static_cast<int>(std::clamp<std::int64_t>(100'000'000 / (world_size * bytes), 40, 2000));
    for (int turn = 0; turn < turns; ++turn) {
      keep(0, [&] {
        MPI_Alltoallv(send.data(), counts.data(), starts.data(), MPI_BYTE, recv.data(), counts.data(), starts.data(),
                      MPI_BYTE, MPI_COMM_WORLD);
      });
      keep(1, [&] { ranks.all_to_all({"time"}, out, in); });
      keep(2, [&] { ranks.start_all_to_all({"time"}, out, in)->wait(); });
      keep(3, [&] {
        std::vector<Outgoing> outgoing;
        std::vector<Incoming> incoming;
        for (int step = 0; step < world_size; ++step) {
          const int to = (self + step) % world_size, from = (self + world_size - step) % world_size;
          outgoing.push_back({to, out[to]});
          incoming.push_back({from, in[from]});
        }
        ranks.start_messages({"time"}, ranks.open_channel(), outgoing, incoming)->wait();
      });
    }
    for (auto& times : us) std::ranges::nth_element(times, times.begin() + turns / 10);
    const auto tenth = static_cast<std::size_t>(turns / 10);
    if (self == 0)
      fmt::print("{:>10} {:>14.2f} {:>12.2f} {:>17.2f} {:>15.2f}\n", bytes, us[0][tenth], us[1][tenth], us[2][tenth],
                 us[3][tenth]);
  }
}

void time_calls(Communicator& ranks) {
  const auto time = [&](std::string_view name, auto call) {
    const auto us = time_us(ranks, 5, 2000, call);
    if (ranks.rank() == 0) fmt::print("{}: {:.2f} us\n", name, us);
  };
  std::vector<float> value(1);
  const int self = ranks.rank(), world_size = ranks.world_size();
  time("barrier", [&] { ranks.barrier({"time"}); });
  time("MPI_Allreduce of 4 bytes",
       [&] { MPI_Allreduce(MPI_IN_PLACE, value.data(), 1, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD); });
  time("all_reduce of 4 bytes", [&] { ranks.all_reduce_sum({"time"}, std::span(value)); });
  time("start_all_reduce of 4 bytes", [&] { ranks.start_all_reduce_sum({"time"}, std::span(value))->wait(); });
  time("reading and writing the board", [&] { report_activity("time", 1); });
  time("exchange of 4 bytes", [&] {
    ranks.exchange({"time"}, (self + 1) % world_size, std::as_bytes(std::span(value)),
                   (self + world_size - 1) % world_size, std::as_writable_bytes(std::span(value)));
  });
}

int run(std::string_view what) {
  if (what == "time") {
    const auto ranks = make_mpi_communicator();
    time_calls(*ranks);
    time_all_to_all(*ranks);
    return 0;
  }
  int code = 0;
  // Whole messages; small parts, and the ranks as if on several machines.
  for (const bool with_machines : {false, true}) {
    std::vector<int> machines;
    for (int rank = 0; with_machines && rank < MpiSession::world_size(); ++rank) machines.push_back(rank % 3);
    const auto ranks = make_mpi_communicator(
        {.timeout_s = 60, .part_bytes = std::int64_t{1} << (with_machines ? 6 : 30), .machines = machines});
    const std::uint64_t seeds = ranks->world_size() > 4 ? 6 : 20;  // of many ranks on few cores each call waits for all
    CommunicatorLaws laws(*ranks);
    laws.check(seeds);
    const auto digest = laws.tree_digest();
    if (ranks->rank() == 0) fmt::print("digest {:016x} of {} ranks\n", digest, ranks->world_size());
    PendingLaws pending(*ranks);
    pending.check(seeds);
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
