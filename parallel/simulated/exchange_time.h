// How long an all-to-all exchange takes on a network, from the Schedule objects that real ranks run and a NetworkClock;
// no bytes are moved. Every rank works through its rounds: pack what is forwarded, send, receive, unpack; a round
// begins when the rank's round before has ended, so ranks drift apart as they would.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "parallel/all_to_all/schedule.h"
#include "parallel/simulated/network.h"

namespace swallowtail {

/// The messages of one schedule on one set of ranks. Where all nodes are alike (Topology::has_equal_blocks) and chunks
/// are equal, the ranks at one place of their node do the same at the same time, so that one node stands for all: with
/// schedules that only know the distance of nodes (all of ours) this is exact. Else every rank is walked through.
class ExchangeTime {
 public:
  /// Chunks of equal size. `walks_all`: no rank stands for another (tests compare both).
  ExchangeTime(MakeSchedule make, std::span<const int> node_of, bool walks_all = false);
  /// bytes(s, d) of the chunk from s to d. Memory: 32 bytes a message of all ranks.
  ExchangeTime(MakeSchedule make, std::span<const int> node_of, const std::function<std::int64_t(int, int)>& bytes);

  /// From the common start to the end of the last rank. bytes_a_chunk: of every chunk, or 1 for chunks of their own
  /// size.
  double seconds(const NetworkDescription& network, std::int64_t bytes_a_chunk = 1) const;
  /// What rank 0 sends in all, sizes of blocks included.
  std::int64_t bytes_sent(std::int64_t bytes_a_chunk = 1) const;
  std::int64_t messages_sent() const;
  std::int64_t rounds() const noexcept { return static_cast<std::int64_t>(rounds_.size()); }

 private:
  struct Packet {
    int from, to, receiver;       // receiver: who stands for `to`
    std::int32_t sizes_bytes;     // in front of the blocks; 0: a plain message, which is not copied
    std::int64_t payload, final;  // chunks, or bytes of them: in all, and those whose destination `to` is
  };
  using Sizes = std::function<std::int64_t(int, int)>;
  void walk(MakeSchedule make, const Sizes& bytes);
  double round_seconds(const std::vector<Packet>& packets, std::int64_t scale, class NetworkClock& clock,
                       std::vector<double>& ready_s) const;

  Topology topology_;
  int walked_ranks_;  // the first ones, which stand for all
  std::vector<std::vector<Packet>> rounds_;
};

}  // namespace swallowtail
