// Run by mpirun. `laws` (as it stands): every algorithm and auto with a measured cost model deliver random counts,
// blocking and under way, on the machines of the ranks and on machines that are made up. `time [SECONDS A SIZE]
// [LARGEST BYTES]`: the table of measured and predicted times. Exit code 1 where a law is broken.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <string_view>

#include "parallel/all_to_all/all_to_all.h"
#include "parallel/all_to_all/benchmark.h"
#include "parallel/all_to_all/execute.h"
#include "parallel/all_to_all/measure_costs.h"
#include "parallel/mpi_communicator.h"
#include "parallel/mpi_reference.h"
#include "tests/multirank/payload.h"

namespace swallowtail {
namespace {

class ExchangeLaws {
 public:
  explicit ExchangeLaws(Communicator& ranks) : ranks_(ranks), self_(ranks.rank()), world_size_(ranks.world_size()) {}

  void check(std::uint64_t seeds) {
    const auto costs = measure_costs(ranks_, 0.1);
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
      for (const auto& entry : all_to_all_algorithms()) {
        AllToAll exchange(entry.name, ranks_);
        deliver(seed, entry.name,
                [&](const Tag& tag, ConstChunks send, Chunks recv) { exchange.run(tag, send, recv, 100); });
        deliver(seed, entry.name, [&](const Tag& tag, ConstChunks send, Chunks recv) {
          const auto pending = exchange.start(tag, send, recv, 100);
          while (!pending->test()) {
          }
        });
        made_up_machines(seed, entry);
      }
      AllToAll chosen("auto", ranks_, costs);
      for (const std::int64_t bytes : {0, 1, 1000, 100000, 100000000})
        deliver(seed, "auto",
                [&](const Tag& tag, ConstChunks send, Chunks recv) { chosen.run(tag, send, recv, bytes); });
    }
  }

  const std::vector<std::string>& broken() const { return broken_; }

 private:
  /// The rounds of other machines than these are as good for the bytes.
  void made_up_machines(std::uint64_t seed, const AllToAllEntry& entry) {
    if (!entry.make) return;
    std::vector<int> machines;
    for (int rank = 0; rank < world_size_; ++rank)
      machines.push_back(static_cast<int>(random::below(random::bits(seed, 3, static_cast<std::uint64_t>(rank)), 4)));
    const Topology topology(machines);
    deliver(seed, entry.name, [&](const Tag& tag, ConstChunks send, Chunks recv) {
      start_schedule(ranks_, tag, entry.make(self_, topology), send, recv)->wait();
    });
  }

  template <typename Exchange>
  void deliver(std::uint64_t seed, std::string_view name, Exchange exchange) {
    std::vector<std::int64_t> send_counts, recv_counts;
    for (int other = 0; other < world_size_; ++other) {
      send_counts.push_back(payload_bytes(seed, self_, other));
      recv_counts.push_back(payload_bytes(seed, other, self_));
    }
    ChunkBuffer send(send_counts), recv(recv_counts);
    for (int to = 0; to < world_size_; ++to) fill_payload(send.chunks()[to], seed, self_, to);
    exchange({"check", static_cast<std::int64_t>(seed)}, send.const_chunks(), recv.chunks());
    for (int from = 0; from < world_size_; ++from)
      if (!is_payload(recv.chunks()[from], seed, from, self_))
        broken_.push_back(fmt::format("{} delivers the chunk of rank {}, seed {}", name, from, seed));
  }

  Communicator& ranks_;
  const int self_, world_size_;
  std::vector<std::string> broken_;
};

void print_times(Communicator& ranks, double seconds_a_size, std::int64_t most_bytes) {
  const auto start = std::chrono::steady_clock::now();
  const auto costs = measure_costs(ranks);
  const double measured_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  BenchmarkOptions options{.seconds_a_size = seconds_a_size};
  std::erase_if(options.sizes, [&](std::int64_t bytes) { return bytes > most_bytes; });
  const auto timings = time_exchanges(ranks, costs, options, mpi_alltoallv);
  if (ranks.rank() != 0) return;
  const auto& network = costs->network();
  for (const auto& [name, link] : {std::pair{"node", network.node}, std::pair{"rail", network.rail}})
    fmt::print("{}: latency {:.2f} us, overhead {:.2f} us, {:.3f} GB/s\n", name, link.latency_s * 1e6,
               link.message_overhead_s * 1e6, link.bandwidth_bytes_per_s * 1e-9);
  fmt::print("measured in {:.2f} s; {}\n", measured_s, describe(all_to_all_choices(*costs)));
  for (const auto& timing : timings)
    fmt::print("{:8} B {:12} {:12} {:10.1f} us [{:.1f}, {:.1f}] predicted {:10.1f} us ({:.2f})\n", timing.bytes_a_peer,
               timing.algorithm, timing.chosen, timing.median_s * 1e6, timing.min_s * 1e6, timing.max_s * 1e6,
               timing.predicted_s * 1e6, timing.predicted_s / timing.median_s);
}

int run(int argc, char** argv) {
  const auto ranks = make_mpi_communicator({.timeout_s = 60});
  if (argc > 1 && std::string_view(argv[1]) == "time") {
    print_times(*ranks, argc > 2 ? std::atof(argv[2]) : 1, argc > 3 ? std::atoll(argv[3]) : 4 << 20);
    return 0;
  }
  ExchangeLaws laws(*ranks);
  laws.check(8);
  for (const auto& law : laws.broken()) fmt::print(stderr, "broken on rank {}: {}\n", ranks->rank(), law);
  return laws.broken().empty() ? 0 : 1;
}

}  // namespace
}  // namespace swallowtail

int main(int argc, char** argv) {
  using swallowtail::MpiSession;
  try {
    const MpiSession session;
    const int code = swallowtail::run(argc, argv);
    if (code != 0) MpiSession::abort(code);
  } catch (const swallowtail::Error& error) {
    MpiSession::fail(error);
  }
}
