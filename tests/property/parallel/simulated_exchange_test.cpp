// All-to-all algorithms on virtual ranks: the bytes that arrive, and the time that they take.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "kernels/random.h"
#include "parallel/all_to_all/all_to_all.h"
#include "parallel/error.h"
#include "parallel/simulated/exchange_time.h"
#include "parallel/simulated/simulated_communicator.h"
#include "tests/multirank/communicator_laws.h"

namespace swallowtail {
namespace {

NetworkDescription network_of(int ranks_per_node, int rails) {
  NetworkDescription network{.name = "test"};
  network.node = {2e-6, 3e-7, 3e11};
  network.rail = {5e-6, 1e-6, 5e10};
  network.ranks_per_node = ranks_per_node;
  network.rails_per_node = rails;
  network.spine_latency_s = 1e-6;
  network.spine_oversubscription = 1.5;
  network.round_overhead_s = 4e-6;
  return network;
}

/// Bytes from every rank to every rank.
using Counts = std::vector<std::vector<std::int64_t>>;

std::byte payload(int from, int to, std::size_t place) {
  return static_cast<std::byte>(random::bits(static_cast<std::uint64_t>(from), static_cast<std::uint64_t>(to), place));
}

/// Sends a payload that both ends know; throws where other bytes arrive.
void deliver(AllToAll& exchange, Communicator& ranks, const Counts& counts, bool blocks) {
  const int self = ranks.rank();
  std::vector<std::int64_t> recv_counts;
  for (const auto& of_rank : counts) recv_counts.push_back(of_rank[static_cast<std::size_t>(self)]);
  const auto send_offsets = byte_offsets(counts[static_cast<std::size_t>(self)], 1);
  const auto recv_offsets = byte_offsets(recv_counts, 1);
  std::vector<std::byte> send(static_cast<std::size_t>(send_offsets.back())),
      recv(static_cast<std::size_t>(recv_offsets.back()), std::byte{0xEE});
  for (int to = 0; to < ranks.world_size(); ++to) {
    const auto chunk = chunks(send, send_offsets)[to];
    for (std::size_t i = 0; i < chunk.size(); ++i) chunk[i] = payload(self, to, i);
  }
  if (blocks) {
    exchange.run({"check"}, {send, send_offsets}, {recv, recv_offsets}, 100);
  } else {
    const auto pending = exchange.start({"check"}, {send, send_offsets}, {recv, recv_offsets}, 100);
    while (!pending->test()) {
    }
  }
  for (int from = 0; from < ranks.world_size(); ++from) {
    const auto chunk = chunks(recv, recv_offsets)[from];
    for (std::size_t i = 0; i < chunk.size(); ++i)
      if (chunk[i] != payload(from, self, i))
        throw std::runtime_error(fmt::format("rank {} got a wrong byte {} from rank {}", self, i, from));
  }
}

RC_GTEST_PROP(AllToAll, DeliversAnyCountsOnAnyMachines, ()) {
  const int world_size = *rc::gen::inRange(1, 34);
  const auto size = static_cast<std::size_t>(world_size);
  const auto seed = *rc::gen::arbitrary<std::uint64_t>();
  const int fewness = *rc::gen::inRange(1, 5);  // 1: every chunk has bytes; 4: three of four are empty
  SimulatedOptions options{.network = network_of(4, 2)};
  options.machines = *rc::gen::container<std::vector<int>>(size, rc::gen::inRange(0, 5));
  Counts counts(size, std::vector<std::int64_t>(size));
  for (std::size_t from = 0; from < size; ++from)
    for (std::size_t to = 0; to < size; ++to) {
      const auto key = random::bits(seed, 1, from, to);
      counts[from][to] = random::below(key, fewness) == 0 ? random::below(random::mix(key), 90) : 0;
    }
  const auto costs = std::make_shared<CostModel>(options.network, options.machines);
  for (const auto& entry : all_to_all_algorithms())
    run_simulated(
        world_size,
        [&](SimulatedCommunicator& ranks) {
          AllToAll exchange(entry.name, ranks);
          deliver(exchange, ranks, counts, true);
          deliver(exchange, ranks, counts, false);
        },
        options);
  run_simulated(
      world_size,
      [&](SimulatedCommunicator& ranks) {
        AllToAll exchange("auto", ranks, costs);
        deliver(exchange, ranks, counts, true);
      },
      options);
}

TEST(AllToAll, SeveralExchangesMayBeUnderWayTogether) {
  for (const auto& entry : all_to_all_algorithms())
    run_simulated(6, [&](SimulatedCommunicator& ranks) {
      AllToAll exchange(entry.name, ranks);
      constexpr int kTogether = 3;
      const std::vector<std::int64_t> counts(6, 4);
      const auto offsets = byte_offsets(counts, 1);
      std::vector<std::vector<std::int32_t>> sent(kTogether), received(kTogether, std::vector<std::int32_t>(6));
      std::vector<std::unique_ptr<Pending>> pending;
      for (int k = 0; k < kTogether; ++k) {
        for (int to = 0; to < 6; ++to) sent[k].push_back(k * 100 + ranks.rank() * 10 + to);
        pending.push_back(
            exchange.start({"check", k}, const_chunks(sent[k], offsets), chunks(received[k], offsets), 4));
      }
      for (auto& call : pending) call->wait();
      for (int k = 0; k < kTogether; ++k)
        for (int from = 0; from < 6; ++from)
          EXPECT_EQ(received[k][from], k * 100 + from * 10 + ranks.rank()) << entry.name;
    });
}

TEST(AllToAll, SizesThatDisagreeAreAnErrorNamingBothSides) {
  for (const auto& entry : all_to_all_algorithms()) {
    Counts counts(5, std::vector<std::int64_t>(5, 8));
    const auto attempt = [&](SimulatedCommunicator& ranks) {
      auto mine = counts;
      if (ranks.rank() == 2) mine[4][2] = 9;  // rank 2 expects a byte more from rank 4
      AllToAll exchange(entry.name, ranks);
      deliver(exchange, ranks, mine, true);
    };
    try {
      run_simulated(5, attempt, {.network = network_of(2, 1)});
      ADD_FAILURE() << entry.name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::rank);
      EXPECT_NE(error.message().find("rank 4"), std::string::npos) << error.message();
      EXPECT_NE(error.message().find("rank 2"), std::string::npos) << error.message();
    }
  }
}

TEST(AllToAll, RanksWithDifferentAlgorithmsGetAnError) {
  EXPECT_THROW(run_simulated(4,
                             [](SimulatedCommunicator& ranks) {
                               AllToAll exchange(ranks.rank() == 3 ? "pairwise" : "direct", ranks);
                               deliver(exchange, ranks, Counts(4, std::vector<std::int64_t>(4, 8)), true);
                             }),
               Error);
  EXPECT_THROW(run_simulated(1, [](SimulatedCommunicator& ranks) { AllToAll("buterfly", ranks); }), Error);
  EXPECT_THROW(run_simulated(1, [](SimulatedCommunicator& ranks) { AllToAll("auto", ranks); }), Error);
}

TEST(SimulatedRanks, KeepTheLawsOfCommunicators) {
  for (const int world_size : {1, 2, 3, 4, 8})
    run_simulated(world_size,
                  [&](SimulatedCommunicator& ranks) {
                    CommunicatorLaws laws(ranks);
                    laws.check(6);
                    EXPECT_EQ(laws.broken(), std::vector<std::string>{})
                        << "rank " << ranks.rank() << " of " << world_size;
                  },
                  {.network = network_of(2, 1)});
}

TEST(SimulatedRanks, OneMessageTakesOverheadLatencyAndBytes) {
  const auto network = network_of(2, 2);
  constexpr std::size_t kBytes = 1 << 20;
  const auto time = [&](int to) {
    return run_simulated(6,
                         [&](SimulatedCommunicator& ranks) {
                           std::vector<std::byte> bytes(kBytes);
                           const Outgoing outgoing{to, bytes};
                           const Incoming incoming{0, bytes};
                           if (ranks.rank() == 0) ranks.start_messages({"one"}, 9, {&outgoing, 1}, {})->wait();
                           if (ranks.rank() == to) ranks.start_messages({"one"}, 9, {}, {&incoming, 1})->wait();
                         },
                         {.network = network});
  };
  const double bytes = kBytes, nics = network.rail.bandwidth_bytes_per_s;
  EXPECT_NEAR(time(1), 4e-6 + 2 * 3e-7 + 2e-6 + bytes / 3e11, 1e-12);  // in the node
  EXPECT_NEAR(time(2), 4e-6 + 2 * 1e-6 + 5e-6 + bytes / nics, 1e-12);  // on the rail
  EXPECT_NEAR(time(3), 4e-6 + 2 * 1e-6 + 6e-6 + bytes / nics, 1e-12);  // by the spine, whose share is wider here
}

TEST(SimulatedRanks, RanksOfANodeShareItsNic) {
  const auto time = [](int rails) {
    return run_simulated(8,
                         [](SimulatedCommunicator& ranks) {
                           std::vector<std::byte> out(1 << 22), in(1 << 22);
                           ranks.exchange({"shift"}, (ranks.rank() + 4) % 8, out, (ranks.rank() + 4) % 8, in);
                         },
                         {.network = network_of(4, rails)});
  };
  const double alone = static_cast<double>(1 << 22) / 5e10;
  EXPECT_NEAR(time(1), 4 * alone * 1.5, 0.05 * 4 * alone);  // the spine gives 1 / 1.5 of the NIC
  EXPECT_NEAR(time(4), alone * 1.5, 0.15 * alone);
}

TEST(SimulatedRanks, TimesAreTheSameEveryTimeAndWorkCounts) {
  const auto run = [] {
    return run_simulated(7,
                         [](SimulatedCommunicator& ranks) {
                           if (ranks.rank() == 3) ranks.work(1e-3);
                           AllToAll exchange("butterfly", ranks);
                           deliver(exchange, ranks, Counts(7, std::vector<std::int64_t>(7, 1000)), true);
                           EXPECT_GT(ranks.now_s(), 1e-3);
                         },
                         {.network = network_of(2, 1)});
  };
  EXPECT_EQ(run(), run());
}

TEST(SimulatedRanks, ARankThatNeverComesIsNamed) {
  try {
    run_simulated(4, [](SimulatedCommunicator& ranks) {
      if (ranks.rank() != 2) ranks.barrier({"together", 7});
    });
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::rank);
    EXPECT_NE(error.message().find("rank 2"), std::string::npos) << error.message();
    EXPECT_NE(error.message().find("together (step 7)"), std::string::npos) << error.message();
  }
}

TEST(SimulatedRanks, AnExceptionEndsAllAndIsThrownAgain) {
  int ended_well = 0, destroyed = 0;
  struct Count {
    int& count;
    ~Count() { ++count; }
  };
  EXPECT_THROW(run_simulated(5,
                             [&](SimulatedCommunicator& ranks) {
                               const Count count{destroyed};
                               if (ranks.rank() == 1) throw std::invalid_argument("bad row");
                               ranks.barrier({"together"});
                               ++ended_well;
                             }),
               std::invalid_argument);
  EXPECT_EQ(ended_well, 0);
  EXPECT_GE(destroyed, 2);  // of all ranks that had begun
}

/// The time without bytes is the time with them, where copies cost nothing.
TEST(ExchangeTime, IsTheTimeThatVirtualRanksTake) {
  for (const int world_size : {1, 2, 3, 5, 8, 12, 16})
    for (const int ranks_per_node : {1, 2, 4})
      for (const std::int64_t bytes : {1, 1000, 300000})
        for (const auto& entry : all_to_all_algorithms()) {
          if (!entry.make) continue;
          const auto network = network_of(ranks_per_node, 1);
          const auto size = static_cast<std::size_t>(world_size);
          const double real = run_simulated(world_size,
                                            [&](SimulatedCommunicator& ranks) {
                                              const std::vector<std::int64_t> counts(size, bytes);
                                              const auto offsets = byte_offsets(counts, 1);
                                              std::vector<std::byte> send(size * static_cast<std::size_t>(bytes)),
                                                  recv(send.size());
                                              AllToAll exchange(entry.name, ranks);
                                              exchange.run({"time"}, {send, offsets}, {recv, offsets}, bytes);
                                            },
                                            {.network = network});
          const double light = ExchangeTime(entry.make, full_nodes(world_size, ranks_per_node)).seconds(network, bytes);
          EXPECT_NEAR(real, light, 0.1 * light)
              << entry.name << ", " << world_size << " ranks, " << ranks_per_node << " a node, " << bytes << " bytes";
        }
}

}  // namespace
}  // namespace swallowtail
