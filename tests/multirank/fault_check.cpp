// Run by multirank_test.py under mpirun: ranks that go different ways, fail, hang or are killed. The script injects the
// signals and judges how the job ends. Usage: fault_check CASE [timeout_s]
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "parallel/activity.h"
#include "parallel/all_to_all/all_to_all.h"
#include "parallel/mpi_communicator.h"

namespace swallowtail {
namespace {

using std::chrono::milliseconds;

/// Steps without end; the script ends them with a signal. Every rank says its pid first.
void loop(Communicator& ranks) {
  std::vector<float> gradient(1000);
  std::vector<std::byte> send(64 * static_cast<std::size_t>(ranks.world_size())), recv = send;
  const auto offsets = byte_offsets(std::vector<std::int64_t>(static_cast<std::size_t>(ranks.world_size()), 64), 1);
  fmt::print("rank {} is process {}\n", ranks.rank(), getpid());
  std::fflush(stdout);
  for (std::int64_t step = 1;; ++step) {
    report_activity("data.next_batch", step);
    std::this_thread::sleep_for(milliseconds(1));
    if (step % 2 == 0) {
      ranks.all_to_all({"pooled", step}, {send, offsets}, {recv, offsets});
      report_activity("backward", step);
      ranks.all_reduce_sum({"dense gradients", step}, std::span(gradient));
    } else {
      const auto pooled = ranks.start_all_to_all({"pooled", step}, {send, offsets}, {recv, offsets});
      const auto gradients = ranks.start_all_reduce_sum({"dense gradients", step}, std::span(gradient));
      report_activity("backward", step);
      pooled->wait();
      gradients->wait();
    }
    if (step == 20 && ranks.rank() == 0) {
      fmt::print("running\n");
      std::fflush(stdout);
    }
  }
}

[[noreturn]] void spin(std::int64_t step) {
  report_activity("data.next_batch", step);
  std::atomic<std::uint64_t> turns{0};  // an endless loop without effect would be undefined
  for (;;) ++turns;
}

/// Calls that return at once, and groups. False where there is no such case.
bool run_pending(std::string_view name, Communicator& ranks) {
  const bool is_odd = ranks.rank() == 1;
  const int next = (ranks.rank() + 1) % ranks.world_size(),
            last = (ranks.rank() + ranks.world_size() - 1) % ranks.world_size();
  float value = 0;
  const std::span<float> one{&value, 1};
  std::vector<std::byte> send(40000), recv(40000);
  const auto even = byte_offsets(std::vector<std::int64_t>(static_cast<std::size_t>(ranks.world_size()), 8), 1);
  const auto message = [&](const Tag& tag, std::size_t sent, std::size_t expected) {
    const Outgoing outgoing{next, std::span(send).first(sent)};
    const Incoming incoming{last, std::span(recv).first(expected)};
    return ranks.start_messages(tag, ranks.open_channel(), {&outgoing, 1}, {&incoming, 1});
  };

  if (name == "pending step") {
    const auto call = ranks.start_all_reduce_sum({"metrics", is_odd ? 813 : 812}, one);
    while (!call->test()) std::this_thread::yield();
  } else if (name == "pending collective") {
    const auto call = is_odd ? ranks.start_all_to_all({"pooled", 812}, {send, even}, {recv, even})
                             : ranks.start_all_reduce_sum({"pooled", 812}, one);
    call->wait();
  } else if (name == "pending or not") {
    if (is_odd) {
      ranks.all_to_all({"pooled", 812}, {send, even}, {recv, even});
    } else {
      ranks.start_all_to_all({"pooled", 812}, {send, even}, {recv, even})->wait();
    }
  } else if (name == "pending sizes") {
    auto counts = std::vector<std::int64_t>(static_cast<std::size_t>(ranks.world_size()), 8);
    if (is_odd) counts[0] = 9;
    const auto offsets = byte_offsets(counts, 1);
    ranks.start_all_to_all({"pooled", 812}, {send, offsets}, {recv, even})->wait();
  } else if (name == "message or sum") {
    const auto call = is_odd ? message({"pooled", 812}, 4, 4) : ranks.start_all_reduce_sum({"pooled", 812}, one);
    call->wait();
  } else if (name == "large message sizes") {
    message({"ring", 812}, is_odd ? 30000 : 20000, 20000)->wait();
  } else if (name == "large or small") {
    message({"ring", 812}, is_odd ? 8000 : 20000, 20000)->wait();
  } else if (name == "message to itself") {
    const Outgoing outgoing{1, send};
    if (is_odd) ranks.start_messages({"ring", 812}, 0, {&outgoing, 1}, {})->wait();
  } else if (name == "offsets") {
    // All parts are empty but rank 0's, or on rank 1 but its own.
    std::vector<std::int64_t> offsets(static_cast<std::size_t>(ranks.world_size()) + 1, 10);
    offsets[0] = 0;
    if (is_odd) offsets[1] = 0;
    std::vector<float> values(10), out(is_odd || ranks.rank() == 0 ? 10 : 0);
    ranks.reduce_scatter_sum({"dense gradients", 812}, values, offsets, out);
  } else if (name == "group") {
    const auto group = ranks.split({"split"}, ranks.rank() == 0 ? 0 : 1);
    group->barrier({"metrics", is_odd ? 813 : 812});
  } else if (name == "pending spin") {
    if (is_odd) spin(812);
    ranks.start_all_to_all({"pooled", 812}, {send, even}, {recv, even})->wait();
  } else if (name == "message spin") {
    if (is_odd) spin(812);
    message({"pooled", 812}, 8, 8)->wait();
  } else if (name == "round spin") {
    const auto channel = ranks.open_channel();
    for (std::size_t bytes = 0;; bytes += 1000) {
      if (is_odd && bytes == 3000) spin(812);
      const Outgoing outgoing{next, std::span(send).first(bytes)};
      const Incoming incoming{last, std::span(recv).first(bytes)};
      ranks.start_messages({"pooled", 812}, channel, {&outgoing, 1}, {&incoming, 1})->wait();
    }
  } else if (name == "group spin") {
    // Rank 0 is alone in its group, and waits for the whole.
    const auto group = ranks.split({"split"}, ranks.rank() == 0 ? 0 : 1);
    for (int i = 0; i < 3 * ranks.rank(); ++i) ranks.open_channel();  // counts of calls tell nothing here
    if (is_odd) spin(812);
    if (ranks.rank() > 0) group->barrier({"pooled", 812});
  } else {
    return false;
  }
  ranks.barrier({"end", 812});
  return true;
}

/// Rank 1 is odd one way or the other.
void run(std::string_view name, Communicator& ranks) {
  const bool is_odd = ranks.rank() == 1;
  float value = 0;
  const std::span<float> one{&value, 1};
  std::vector<std::byte> bytes(64);
  const auto even = byte_offsets(std::vector<std::int64_t>(static_cast<std::size_t>(ranks.world_size()), 8), 1);
  ranks.barrier({"start"});
  if (run_pending(name, ranks)) return;

  if (name == "long name") {
    // Names that agree in what an error shows of them.
    const bool differs = ranks.world_size() > 1 && is_odd;
    return ranks.barrier(
        {differs ? "an operation of a name that is long" : "an operation of a name that is too long", 812});
  }
  if (name == "operation") return ranks.all_reduce_sum({is_odd ? "dense gradients" : "metrics", 812}, one);
  if (name == "step") return ranks.all_reduce_sum({"metrics", is_odd ? 813 : 812}, one);
  if (name == "detail") return ranks.all_reduce_sum({"metrics", 812, is_odd ? 0xabcU : 0x123U}, one);
  if (name == "collective") {
    if (is_odd) return ranks.all_to_all({"pooled", 812}, {bytes, even}, {bytes, even});
    return ranks.all_reduce_sum({"pooled", 812}, one);
  }
  if (name == "type") {
    double other = 0;
    if (is_odd) return ranks.all_reduce_sum({"metrics", 812}, std::span<double>{&other, 1});
    return ranks.all_reduce_sum({"metrics", 812}, one);
  }
  if (name == "length") return ranks.broadcast({"weights", 812}, 0, std::span(bytes).first(is_odd ? 12 : 8));
  if (name == "root") return ranks.broadcast({"weights", 812}, is_odd ? 1 : 0, bytes);
  if (name == "sizes") {
    // Rank 1 sends 9 bytes to rank 0, which expects 8.
    auto counts = std::vector<std::int64_t>(static_cast<std::size_t>(ranks.world_size()), 8);
    if (is_odd) counts[0] = 9;
    std::vector<std::byte> send(1000), recv(1000);
    return ranks.all_to_all({"pooled", 812}, {send, byte_offsets(counts, 1)}, {recv, even});
  }
  if (name == "exchange sizes" || name == "exchange step") {
    const int next = (ranks.rank() + 1) % ranks.world_size(),
              last = (ranks.rank() + ranks.world_size() - 1) % ranks.world_size();
    const bool is_longer = is_odd && name == "exchange sizes";
    ranks.exchange({"ring", is_odd && !is_longer ? 813 : 812}, next, std::span(bytes).first(is_longer ? 60 : 8), last,
                   std::span(bytes).last(8));
    return ranks.barrier({"end"});
  }
  if (name == "algorithm")
    return all_to_all(is_odd ? "pairwise" : "library", ranks, {"pooled", 812}, {bytes, even}, {bytes, even});

  if (name == "throw") {
    if (is_odd) throw Error{ExitCode::data, "label '?' is neither 0 nor 1", "train.csv:1732:15", "correct the row"};
    return ranks.barrier({"end"});
  }
  if (name == "all throw") throw Error{ExitCode::usage, "unknown key 'embeding_dim' in model", "adult.yaml:14:3"};
  if (name == "spin") {
    if (is_odd) spin(812);
    return ranks.all_reduce_sum({"pooled", 812}, one);
  }
  if (name == "leave") {
    if (is_odd) return;
    return ranks.barrier({"end", 812});
  }
  if (name == "loop") return loop(ranks);
  throw Error{ExitCode::usage, fmt::format("unknown case '{}'", name)};
}

}  // namespace
}  // namespace swallowtail

int main(int argc, char** argv) {
  using namespace swallowtail;
  try {
    const MpiSession session;
    const auto ranks = make_mpi_communicator({.timeout_s = argc > 2 ? std::atof(argv[2]) : 60.0});
    run(argc > 1 ? argv[1] : "", *ranks);
  } catch (const Error& error) {
    MpiSession::fail(error);  // the session's scope has been left: MPI must still be up
  }
}
