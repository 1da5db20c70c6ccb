// What every Schedule promises, for any ranks on any machines, walked through without bytes.
#include "parallel/all_to_all/schedule.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <map>
#include <set>

#include "parallel/all_to_all/all_to_all.h"

namespace swallowtail {
namespace {

using Pair = std::pair<int, int>;

std::vector<Block> blocks_of(const Round& round, const Message& message) {
  const auto blocks = round.of(message);
  return {blocks.begin(), blocks.end()};
}

/// Walks all ranks round by round; throws a text where a promise is broken. Returns the number of rounds.
int walk(const AllToAllEntry& entry, const Topology& topology) {
  const int ranks = topology.world_size();
  std::vector<std::unique_ptr<Schedule>> schedules;
  std::vector<std::set<Pair>> held(static_cast<std::size_t>(ranks));
  for (int rank = 0; rank < ranks; ++rank) {
    schedules.push_back(entry.make(rank, topology));
    for (int to = 0; to < ranks; ++to)
      if (to != rank) held[static_cast<std::size_t>(rank)].insert({rank, to});
  }
  const auto require = [](bool holds, const std::string& promise) {
    if (!holds) throw std::runtime_error(promise);
  };
  for (int number = 0;; ++number) {
    std::map<Pair, std::vector<Block>> sent, expected;
    int going_on = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      Round round;
      going_on += schedules[static_cast<std::size_t>(rank)]->next(round);
      for (const auto& message : round.sends)
        require(sent.emplace(Pair{rank, message.peer}, blocks_of(round, message)).second, "one message a pair");
      for (const auto& message : round.receives)
        require(expected.emplace(Pair{message.peer, rank}, blocks_of(round, message)).second, "one message a pair");
    }
    if (going_on == 0) {
      for (int rank = 0; rank < ranks; ++rank)
        for (int from = 0; from < ranks; ++from)
          require(from == rank || held[static_cast<std::size_t>(rank)].contains({from, rank}), "every block arrives");
      for (int rank = 0; rank < ranks; ++rank)
        require(std::ssize(held[static_cast<std::size_t>(rank)]) == ranks - 1, "nothing is left over");
      return number;
    }
    require(going_on == ranks, "all ranks have the same number of rounds");
    require(sent == expected, "both ends list the same blocks in the same order");
    for (const auto& [pair, blocks] : sent) {  // what comes in a round cannot be sent in it
      require(pair.first != pair.second && !blocks.empty(), "messages go to others and hold something");
      for (const auto& block : blocks)
        require(held[static_cast<std::size_t>(pair.first)].erase({block.source, block.destination}) == 1,
                "a rank sends what it holds, once");
    }
    for (const auto& [pair, blocks] : sent)
      for (const auto& block : blocks)
        held[static_cast<std::size_t>(pair.second)].insert({block.source, block.destination});
  }
}

RC_GTEST_PROP(Schedule, DeliversEveryBlockOnceOnAnyMachines, ()) {
  const int ranks = *rc::gen::inRange(1, 34);
  const auto machines = *rc::gen::container<std::vector<int>>(static_cast<std::size_t>(ranks), rc::gen::inRange(0, 6));
  for (const auto& entry : all_to_all_algorithms())
    if (entry.make) walk(entry, Topology(machines));
}

TEST(Schedule, DeliversEveryBlockOnceOnEqualMachines) {
  for (int ranks = 1; ranks <= 33; ++ranks)
    for (const int on_a_node : {1, 2, 3, 8})
      for (const auto& entry : all_to_all_algorithms())
        if (entry.make)
          EXPECT_NO_THROW(walk(entry, Topology(full_nodes(ranks, on_a_node))))
              << entry.name << ", " << ranks << " ranks, " << on_a_node << " a node";
}

TEST(Schedule, ButterflyHasLogarithmicRoundsOfOneMessage) {
  for (int ranks = 1; ranks <= 130; ++ranks) {
    const Topology topology(full_nodes(ranks, 1));
    EXPECT_EQ(walk(*find_all_to_all("butterfly"), topology), std::bit_width(static_cast<unsigned>(ranks - 1)));
    const auto schedule = make_butterfly(ranks / 2, topology);
    for (Round round; schedule->next(round);) EXPECT_EQ(round.sends.size(), 1U) << ranks << " ranks";
  }
}

TEST(Schedule, ButterflyOnPowersOfTwoStaysInTheNodeFirst) {
  const Topology topology(full_nodes(32, 8));
  for (int rank = 0; rank < 32; ++rank) {
    const auto schedule = make_butterfly(rank, topology);
    int number = 0;
    for (Round round; schedule->next(round); ++number)
      EXPECT_EQ(topology.node(round.sends[0].peer) == topology.node(rank), number < 3);
  }
}

TEST(Schedule, PairwiseAndDirectSendEachBlockToItsDestination) {
  const Topology topology(full_nodes(9, 4));
  EXPECT_EQ(walk(*find_all_to_all("pairwise"), topology), 8);
  EXPECT_EQ(walk(*find_all_to_all("direct"), topology), 1);
  for (const auto make : {make_pairwise, make_direct}) {
    const auto schedule = make(5, topology);
    for (Round round; schedule->next(round);)
      for (const auto& message : round.sends) EXPECT_TRUE(is_plain(round.of(message), 5, message.peer));
  }
}

TEST(Schedule, HierarchicalJoinsTwoNodesByOneFlowARail) {
  for (const auto& machines : {full_nodes(32, 8), full_nodes(13, 5), std::vector<int>{0, 1, 0, 2, 1, 0, 2, 2, 2}}) {
    const Topology topology(machines);
    std::map<Pair, std::set<int>> places;  // of the flows between two nodes
    std::map<Pair, int> messages;
    for (int rank = 0; rank < topology.world_size(); ++rank) {
      const auto schedule = make_hierarchical(rank, topology);
      for (Round round; schedule->next(round);)
        for (const auto& message : round.sends) {
          const Pair nodes{topology.node(rank), topology.node(message.peer)};
          if (nodes.first == nodes.second) continue;
          EXPECT_EQ(topology.place(rank), topology.place(message.peer));
          places[nodes].insert(topology.place(rank));
          ++messages[nodes];
        }
    }
    for (int a = 0; a < topology.nodes(); ++a)
      for (int b = 0; b < topology.nodes(); ++b) {
        if (a == b) continue;
        const auto flows = std::min(topology.ranks(a).size(), topology.ranks(b).size());
        EXPECT_EQ((places[{a, b}].size()), flows);
        EXPECT_EQ((messages[{a, b}]), static_cast<int>(flows));
      }
  }
}

TEST(Schedule, PlainMessagesAreSingleBlocksFromEndToEnd) {
  const std::vector<Block> one{{1, 2}}, two{{1, 2}, {1, 3}};
  EXPECT_TRUE(is_plain(one, 1, 2));
  EXPECT_FALSE(is_plain(one, 0, 2));
  EXPECT_FALSE(is_plain(one, 1, 3));
  EXPECT_FALSE(is_plain(two, 1, 2));
}

TEST(Topology, NumbersNodesInOrderAndKnowsEqualBlocks) {
  const std::vector<int> machines{7, 7, 3, 7, 3};
  const Topology topology(machines);
  EXPECT_EQ(topology.node_of, (std::vector<int>{0, 0, 1, 0, 1}));
  EXPECT_EQ(topology.place_of, (std::vector<int>{0, 1, 0, 2, 1}));
  EXPECT_EQ(topology.ranks(0), (std::vector<int>{0, 1, 3}));
  EXPECT_FALSE(topology.has_equal_blocks());
  EXPECT_TRUE(Topology(full_nodes(12, 4)).has_equal_blocks());
  EXPECT_TRUE(Topology(full_nodes(3, 4)).has_equal_blocks());
  EXPECT_FALSE(Topology(full_nodes(10, 4)).has_equal_blocks());
  EXPECT_FALSE(Topology(std::vector<int>{0, 1, 0, 1}).has_equal_blocks());
}

}  // namespace
}  // namespace swallowtail
