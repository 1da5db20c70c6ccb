// The clock of a simulated network against times that can be written down, and its shortcuts against the long way.
#include "parallel/simulated/exchange_time.h"

#include <gtest/gtest.h>

#include "parallel/all_to_all/all_to_all.h"

namespace swallowtail {
namespace {

NetworkDescription h100(int rails) {
  NetworkDescription network{.name = "like h100"};
  network.node = {1.9e-6, 5e-7, 370e9};
  network.rail = {5e-6, 1e-6, 48.5e9};
  network.ranks_per_node = 8;
  network.rails_per_node = rails;
  network.spine_latency_s = 1e-6;
  network.copy_bandwidth_bytes_per_s = 1.5e12;
  network.round_overhead_s = 3e-6;
  return network;
}

TEST(ExchangeTime, OneNodeStandsForAllWhereNodesAreAlike) {
  for (auto network : {h100(1), h100(2), h100(8)})
    for (const int ranks_per_node : {1, 2, 4, 8})
      for (const int nodes : {1, 2, 3, 4, 7, 8})
        for (const double oversubscription : {1.0, 3.0})
          for (const auto& entry : all_to_all_algorithms())
            for (const std::int64_t bytes : {16, 5000, 1000000}) {
              network.spine_oversubscription = oversubscription;
              const auto node_of = full_nodes(nodes * ranks_per_node, ranks_per_node);
              const double one_node = ExchangeTime(entry.modelled_as, node_of).seconds(network, bytes);
              const double all = ExchangeTime(entry.modelled_as, node_of, true).seconds(network, bytes);
              EXPECT_NEAR(one_node, all, 1e-9 * all) << entry.name << ", " << nodes << " nodes of " << ranks_per_node
                                                     << ", " << network.rails_per_node << " rails, " << bytes;
            }
}

TEST(ExchangeTime, IsTheFormulaOnASimpleNetwork) {
  NetworkDescription network{.name = "simple"};
  network.node = network.rail = {1e-4, 1e-5, 1e8};
  constexpr double kOverhead = 1e-5, kLatency = 1e-4, kByte = 1e-8;
  const auto node_of = full_nodes(16, 1);
  // Direct: 15 messages are handed over, the last one travels, and its receiver works through those that wait.
  const double direct = ExchangeTime(make_direct, node_of).seconds(network, 1);
  EXPECT_NEAR(direct, 15 * kOverhead + kLatency + 15 * kOverhead, kLatency);
  EXPECT_GE(direct, 30 * kOverhead);
  // Large chunks: the port is what counts.
  EXPECT_NEAR(ExchangeTime(make_direct, node_of).seconds(network, 1 << 20), 15 * kByte * (1 << 20), 1e-3);
  EXPECT_NEAR(ExchangeTime(make_pairwise, node_of).seconds(network, 1000),
              15 * (2 * kOverhead + kLatency + 1000 * kByte), 1e-9);
  EXPECT_NEAR(ExchangeTime(make_butterfly, node_of).seconds(network, 1000),
              4 * (2 * kOverhead + kLatency + 8 * (1000 + kSizeBytes) * kByte), 1e-9);
  network.copy_bandwidth_bytes_per_s =
      1e7;  // eight chunks are packed a round; of them eight, one a rank more, unpacked
  const double packed = ExchangeTime(make_butterfly, node_of).seconds(network, 1000);
  EXPECT_NEAR(packed, 4 * (2 * kOverhead + kLatency + 8 * (1000 + kSizeBytes) * kByte) + (32 + 15) * 1000 * 1e-7, 1e-9);
}

TEST(ExchangeTime, CountsMessagesAndBytes) {
  const auto node_of = full_nodes(32, 8);
  const ExchangeTime direct(make_direct, node_of), butterfly(make_butterfly, node_of), steps(make_pairwise, node_of),
      hierarchical(make_hierarchical, node_of);
  EXPECT_EQ(direct.messages_sent(), 31);
  EXPECT_EQ(direct.bytes_sent(100), 3100);
  EXPECT_EQ(steps.rounds(), 31);
  EXPECT_EQ(butterfly.messages_sent(), 5);
  EXPECT_EQ(butterfly.bytes_sent(100), 5 * 16 * (100 + kSizeBytes));
  EXPECT_EQ(hierarchical.messages_sent(), 7 + 3);
  EXPECT_EQ(hierarchical.bytes_sent(100), (7 * 4 + 3 * 8) * (100 + kSizeBytes));
}

TEST(ExchangeTime, TakesChunksOfAnySize) {
  const auto network = h100(8);
  const auto node_of = full_nodes(16, 8);
  for (const auto make : {make_direct, make_butterfly, make_hierarchical, make_pairwise}) {
    const ExchangeTime equal(make, node_of, [](int, int) { return 777; });
    EXPECT_NEAR(equal.seconds(network), ExchangeTime(make, node_of, true).seconds(network, 777), 1e-12);
    const ExchangeTime one_heavy(make, node_of, [](int from, int) { return from == 5 ? 10000000 : 777; });
    EXPECT_GT(one_heavy.seconds(network), 5 * equal.seconds(network));
  }
}

TEST(ExchangeTime, ADearerNetworkIsNeverFaster) {
  for (const auto& entry : all_to_all_algorithms())
    for (const std::int64_t bytes : {16, 858, 65536}) {
      const ExchangeTime exchange(entry.modelled_as, full_nodes(64, 8));
      const double plain = exchange.seconds(h100(8), bytes);
      auto network = h100(8);
      network.rail.latency_s *= 2;
      EXPECT_GT(exchange.seconds(network, bytes), plain);
      network = h100(8);
      network.rail.message_overhead_s *= 2;
      EXPECT_GT(exchange.seconds(network, bytes), plain);
      network = h100(8);
      network.round_overhead_s *= 2;
      EXPECT_GT(exchange.seconds(network, bytes), plain);
      network = h100(8);
      network.spine_oversubscription = 64;
      EXPECT_GE(exchange.seconds(network, bytes), plain);
      EXPECT_GE(exchange.seconds(h100(1), 65536), exchange.seconds(h100(8), 65536));
    }
}

TEST(ExchangeTime, FewLargeMessagesWinForManyRanksAndSmallChunks) {
  // The claim of the exchange family, at the size of 1,024 GPUs of a DLRM-DCNv2 step: 858 bytes a peer.
  const auto node_of = full_nodes(1024, 8);
  for (const int rails : {1, 8}) {
    const auto time = [&](MakeSchedule make, std::int64_t bytes) {
      return ExchangeTime(make, node_of).seconds(h100(rails), bytes);
    };
    const double best = std::min(time(make_butterfly, 858), time(make_hierarchical, 858));
    EXPECT_LT(3 * best, time(make_direct, 858)) << rails << " rails";
    EXPECT_LT(time(make_direct, 4 << 20), time(make_butterfly, 4 << 20)) << rails << " rails";
  }
}

}  // namespace
}  // namespace swallowtail
