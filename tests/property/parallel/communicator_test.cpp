// The laws of Communicator on threads; the same laws are tried on real ranks by tests/multirank.
#include <gtest/gtest.h>

#include <atomic>
#include <set>

#include "parallel/local_communicator.h"
#include "tests/multirank/communicator_laws.h"
#include "tests/multirank/pending_laws.h"

namespace swallowtail {
namespace {

void expect_laws(Communicator& ranks, std::uint64_t seeds) {
  CommunicatorLaws laws(ranks);
  laws.check(seeds);
  EXPECT_EQ(laws.broken(), std::vector<std::string>{}) << "rank " << ranks.rank() << " of " << ranks.world_size();
  PendingLaws pending(ranks);
  pending.check(seeds);
  EXPECT_EQ(pending.broken(), std::vector<std::string>{}) << "rank " << ranks.rank() << " of " << ranks.world_size();
}

TEST(LocalCommunicator, KeepsTheLawsOnAnyNumberOfRanks) {
  for (const int world_size : {1, 2, 3, 4, 8}) {
    std::atomic<int> bodies{0};
    run_ranks(world_size, [&](Communicator& ranks) {
      EXPECT_EQ(ranks.world_size(), world_size);
      EXPECT_EQ(ranks.node_local_ranks(), world_size);
      expect_laws(ranks, 20);
      ++bodies;
    });
    EXPECT_EQ(bodies, world_size);
  }
}

TEST(LocalCommunicator, KeepsTheLawsInGroups) {
  for (const auto& machines : {std::vector{5}, {5, 3}, {0, 1, 0}, {2, 2, 9, 9}, {0, 0, 0, 1, 1, 2, 2, 2}})
    run_ranks(static_cast<int>(machines.size()),
              [&](Communicator& ranks) {
                const auto nodes = ranks.node_of();
                EXPECT_EQ(std::vector(nodes.begin(), nodes.end()), numbered_in_order(machines));
                PendingLaws laws(ranks);
                laws.check_groups(2, 2);
                EXPECT_EQ(laws.broken(), std::vector<std::string>{}) << "rank " << ranks.rank();
              },
              {.machines = machines});
}

TEST(NumberedInOrder, CountsFromTheFirst) {
  EXPECT_EQ(numbered_in_order(std::vector{7, 7, -1, 3, -1, 7}), (std::vector{0, 0, 1, 2, 1, 0}));
  EXPECT_TRUE(numbered_in_order({}).empty());
}

TEST(SingleRank, KeepsTheLaws) {
  const auto ranks = make_single_rank();
  EXPECT_EQ(ranks->rank(), 0);
  EXPECT_EQ(ranks->world_size(), 1);
  expect_laws(*ranks, 20);
}

TEST(LocalCommunicator, FixedOrderDigestIsTheSameForEveryWorldSize) {
  std::set<std::uint64_t> digests;
  for (const int world_size : {1, 2, 3, 5, 8})
    run_ranks(world_size, [&](Communicator& ranks) {
      CommunicatorLaws laws(ranks);
      const auto digest = laws.tree_digest();
      EXPECT_TRUE(laws.broken().empty());
      if (ranks.rank() == 0) digests.insert(digest);
    });
  EXPECT_EQ(digests.size(), 1U);
}

}  // namespace
}  // namespace swallowtail
