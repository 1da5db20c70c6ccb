// How a run of threads ends when ranks go different ways.
#include "parallel/local_communicator.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "parallel/activity.h"
#include "parallel/all_to_all/all_to_all.h"
#include "parallel/error.h"

namespace swallowtail {
namespace {

/// The message of the Error that the run ends with; "" where it ends well.
std::string failure_of(int world_size, const std::function<void(Communicator&)>& body, double timeout_s = 30) {
  try {
    run_ranks(world_size, body, {.timeout_s = timeout_s});
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::rank);
    return error.message();
  }
  return "";
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

TEST(LocalCommunicator, DifferentTagsNameBothRanks) {
  const auto message = failure_of(3, [](Communicator& ranks) {
    float value = 0;
    ranks.all_reduce_sum({ranks.rank() == 1 ? "pooled" : "metrics", 812}, {&value, 1});
  });
  EXPECT_TRUE(contains(
      message, "rank 0 is in all_reduce of metrics (step 812) but rank 1 is in all_reduce of pooled (step 812)"))
      << message;
}

TEST(LocalCommunicator, DifferentCollectiveTypeRootAndDetailAreTold) {
  std::vector<std::byte> bytes(8);
  const std::vector<std::int64_t> offsets{0, 4, 8};
  float narrow = 0;
  double wide = 0;
  const auto message_of = [](auto even, auto odd) {
    return failure_of(2, [&](Communicator& ranks) { ranks.rank() == 0 ? even(ranks) : odd(ranks); });
  };
  const Tag tag{"x", 3};
  EXPECT_TRUE(contains(message_of([&](Communicator& ranks) { ranks.barrier(tag); },
                                  [&](Communicator& ranks) {
                                    ranks.all_to_all(tag, {bytes, offsets}, {bytes, offsets});
                                  }),
                       "rank 0 is in barrier of x (step 3) but rank 1 is in all_to_all of x (step 3)"));
  EXPECT_TRUE(contains(message_of([&](Communicator& ranks) { ranks.all_reduce_sum(tag, std::span(&narrow, 1)); },
                                  [&](Communicator& ranks) { ranks.all_reduce_sum(tag, std::span(&wide, 1)); }),
                       "but rank 1 is in all_reduce"));
  EXPECT_TRUE(contains(message_of([&](Communicator& ranks) { ranks.broadcast(tag, 0, bytes); },
                                  [&](Communicator& ranks) { ranks.broadcast(tag, 1, bytes); }),
                       "but rank 1 is in broadcast"));
  EXPECT_TRUE(contains(message_of(
                           [&](Communicator& ranks) {
                             ranks.barrier({"x", 3, 0xabc});
                           },
                           [&](Communicator& ranks) {
                             ranks.barrier({"x", 3, 0x123});
                           }),
                       "detail 0xabc"));
  EXPECT_TRUE(contains(message_of([&](Communicator& ranks) { ranks.broadcast(tag, 0, bytes); },
                                  [&](Communicator& ranks) { ranks.broadcast(tag, 0, std::span(bytes).first(3)); }),
                       "rank 0 brings 8 bytes and rank 1 brings 3 to x (step 3)"));
}

TEST(LocalCommunicator, DifferentSizesNameSenderAndReceiver) {
  const auto all_to_all_message = failure_of(2, [](Communicator& ranks) {
    std::vector<std::byte> send(20), recv(20);
    const std::vector<std::int64_t> equal{0, 8, 16}, longer{0, 9, 17};
    ranks.all_to_all({"pooled", 1}, {send, ranks.rank() == 1 ? longer : equal}, {recv, equal});
  });
  EXPECT_TRUE(contains(all_to_all_message, "rank 1 sends 9 bytes where rank 0 expects 8 in pooled (step 1)"));
  const auto exchange_message = failure_of(2, [](Communicator& ranks) {
    std::vector<std::byte> send(8), recv(8);
    ranks.exchange({"ring", 1}, 1 - ranks.rank(), std::span(send).first(ranks.rank() == 0 ? 8 : 5), 1 - ranks.rank(),
                   recv);
  });
  EXPECT_TRUE(contains(exchange_message, "rank 1 sends 5 bytes where rank 0 expects 8 in ring (step 1)"));
}

TEST(LocalCommunicator, PendingCallsThatDifferNameBothRanks) {
  const auto message_of = [](auto start) {
    return failure_of(3, [&](Communicator& ranks) {
      std::vector<std::byte> send(100), recv(100);
      std::vector<float> values(4);
      const auto call = start(ranks, send, recv, values);
      while (!call->test()) std::this_thread::yield();
      ranks.barrier({"end"});
    });
  };
  using Bytes = std::vector<std::byte>;
  const auto ring = [](Communicator& ranks, const Tag& tag, const Bytes& send, Bytes& recv, std::size_t sent) {
    const Outgoing outgoing{(ranks.rank() + 1) % 3, std::span(send).first(sent)};
    const Incoming incoming{(ranks.rank() + 2) % 3, std::span(recv).first(8)};
    return ranks.start_messages(tag, ranks.open_channel(), {&outgoing, 1}, {&incoming, 1});
  };
  EXPECT_TRUE(contains(message_of([&](Communicator& ranks, Bytes& send, Bytes& recv, auto&) {
                         return ring(ranks, {"ring", ranks.rank() == 1 ? 8 : 7}, send, recv, 8);
                       }),
                       "in exchange of ring (step 8)"));
  EXPECT_TRUE(contains(message_of([&](Communicator& ranks, Bytes& send, Bytes& recv, auto&) {
                         return ring(ranks, {"ring", 7}, send, recv, ranks.rank() == 1 ? 9 : 8);
                       }),
                       "rank 1 sends 9 bytes where rank 2 expects 8 in ring (step 7)"));
  EXPECT_TRUE(contains(message_of([](Communicator& ranks, Bytes& send, Bytes& recv, std::vector<float>& values) {
                         static const std::vector<std::int64_t> kOffsets{0, 4, 8, 12};
                         return ranks.rank() == 1 ? ranks.start_all_to_all({"x", 3}, {send, kOffsets}, {recv, kOffsets})
                                                  : ranks.start_all_reduce_sum({"x", 3}, values);
                       }),
                       "rank 0 is in start_all_reduce of x (step 3) but rank 1 is in start_all_to_all of x (step 3)"));
  EXPECT_TRUE(contains(message_of([](Communicator& ranks, Bytes& send, Bytes&, auto&) {
                         const Outgoing outgoing{ranks.rank(), send};
                         return ranks.start_messages({"x", 3}, ranks.open_channel(), {&outgoing, 1}, {});
                       }),
                       "sends itself a message that it does not expect in x (step 3)"));
}

TEST(LocalCommunicator, RankThatDoesNotPostIsNamed) {
  const auto message = failure_of(3, [](Communicator& ranks) {
    const auto channel = ranks.open_channel();
    const Outgoing outgoing{(ranks.rank() + 1) % 3};
    const Incoming incoming{(ranks.rank() + 2) % 3};
    if (ranks.rank() == 1) {  // leaves between two rounds of one exchange, when the others wait for it
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
      return;
    }
    ranks.start_messages({"pooled", 812}, channel, {&outgoing, 1}, {&incoming, 1})->wait();
  });
  EXPECT_TRUE(contains(message, "rank 1 missed pooled (step 812) for 0 s, at rank 1 finished")) << message;
}

TEST(LocalCommunicator, DroppedCallsTouchNothingOfTheirOwner) {
  // The memory of what rank 0 dropped is gone when the others come; AddressSanitizer would tell.
  const auto message = failure_of(2, [](Communicator& ranks) {
    const auto channel = ranks.open_channel();
    if (ranks.rank() == 0) {
      const auto bytes = std::make_unique<std::vector<std::byte>>(1000);
      std::vector<float> values(1000);
      const Outgoing outgoing{1, *bytes};
      const auto sent = ranks.start_messages({"pooled", 1}, channel, {&outgoing, 1}, {});
      const auto summed = ranks.start_all_reduce_sum({"gradients", 1}, values);
    }
    ranks.exchange({"dropped", 1}, 1 - ranks.rank(), {}, 1 - ranks.rank(), {});
    if (ranks.rank() == 0) return;
    std::vector<std::byte> bytes(1000);
    std::vector<float> values(1000);
    const Incoming incoming{0, bytes};
    ranks.start_all_reduce_sum({"gradients", 1}, values)->test();
    ranks.start_messages({"pooled", 1}, channel, {}, {&incoming, 1})->wait();
  });
  EXPECT_TRUE(contains(message, "rank 0 missed pooled (step 1)")) << message;
}

TEST(LocalCommunicator, AlgorithmsThatDifferAreTold) {
  const auto message = failure_of(2, [](Communicator& ranks) {
    std::vector<std::byte> bytes(2), recv(2);
    const std::vector<std::int64_t> offsets{0, 1, 2};
    all_to_all(ranks.rank() == 0 ? "direct" : "pairwise", ranks, {"pooled", 1}, {bytes, offsets}, {recv, offsets});
  });
  EXPECT_TRUE(contains(message, "pooled (step 1)")) << message;
  EXPECT_TRUE(contains(message, "rank 0 ")) << message;
  EXPECT_TRUE(contains(message, "rank 1 ")) << message;
}

TEST(LocalCommunicator, FirstFailureIsThrownAndTheOthersAreReleased) {
  std::atomic<int> released{0};
  const auto body = [&](Communicator& ranks) {
    if (ranks.rank() == 2) throw std::out_of_range("no such row");
    try {
      for (;;) ranks.barrier({"steps"});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::rank);
      EXPECT_EQ(error.fact(), "rank 2 failed: no such row");
      ++released;
      throw;
    }
  };
  EXPECT_THROW(run_ranks(4, body), std::out_of_range);
  EXPECT_EQ(released, 3);
}

TEST(LocalCommunicator, RankThatLeavesEarlyIsToldAtOnce) {
  const auto message = failure_of(3, [](Communicator& ranks) {
    if (ranks.rank() != 1) ranks.barrier({"end", 7});
  });
  EXPECT_TRUE(contains(message, "rank 1 missed end (step 7)")) << message;
}

TEST(LocalCommunicator, RankThatDoesNotComeIsNamedWithWhatItDoes) {
  std::atomic<bool> is_over{false};
  const auto message = failure_of(
      3,
      [&](Communicator& ranks) {
        if (ranks.rank() == 2) {
          report_activity("data.next_batch", 812);
          while (!is_over) std::this_thread::sleep_for(std::chrono::milliseconds(1));
          return;
        }
        try {
          ranks.barrier({"pooled", 812});
        } catch (const Error&) {
          is_over = true;
          throw;
        }
      },
      0.1);
  EXPECT_TRUE(contains(message, "rank 2 missed pooled (step 812) for 0 s, at rank 2 in data.next_batch (step 812)"))
      << message;
  EXPECT_TRUE(contains(message, "ranks 0-1 in pooled (step 812)")) << message;
}

TEST(AllToAll, NamesAreSortedUniqueAndFound) {
  std::string_view last;
  for (const auto& algorithm : all_to_all_algorithms()) {
    EXPECT_LT(last, algorithm.name);
    EXPECT_FALSE(algorithm.meaning.empty());
    EXPECT_EQ(find_all_to_all(algorithm.name), &algorithm);
    last = algorithm.name;
  }
  EXPECT_EQ(find_all_to_all("butterflies"), nullptr);
  const auto ranks = make_single_rank();
  EXPECT_THROW(all_to_all("butterflies", *ranks, {"x"}, {}, {}), Error);
}

TEST(ByteOffsets, AreRunningSumsOfElements) {
  const std::vector<std::int64_t> counts{3, 0, 5};
  EXPECT_EQ(byte_offsets(counts, 4), (std::vector<std::int64_t>{0, 12, 12, 32}));
  EXPECT_EQ(byte_offsets({}, 4), (std::vector<std::int64_t>{0}));
}

}  // namespace
}  // namespace swallowtail
