// An all-to-all exchange as a pure description: rounds of messages, and the blocks in each message. Block (s, d) is the
// chunk that rank s has for rank d. No bytes and no ranks are needed to make one, so the same object drives real ranks
// (execute.h) and the simulation of 4,096 (simulated/exchange_time.h).
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "parallel/topology.h"

namespace swallowtail {

struct Block {
  int source = 0, destination = 0;
  bool operator==(const Block&) const = default;
};

struct Message {
  int peer = 0;
  int first_block = 0, end_block = 0;  // of Round::blocks
};

/// One rank's messages that are under way together. Sender and receiver list the same blocks in the same order.
struct Round {
  std::vector<Block> blocks;
  std::vector<Message> sends, receives;

  std::span<const Block> of(const Message& message) const {
    return std::span(blocks).subspan(static_cast<std::size_t>(message.first_block),
                                     static_cast<std::size_t>(message.end_block - message.first_block));
  }
  void clear();
  /// Blocks that are added go to the message that was begun last; end_message drops a message without any.
  void begin_send(int peer) { begin(sends, peer); }
  void begin_receive(int peer) { begin(receives, peer); }
  void add(Block block) { blocks.push_back(block); }
  void end_message();

 private:
  void begin(std::vector<Message>& messages, int peer);
  std::vector<Message>* open_ = nullptr;
};

/// True where sender and receiver both know the size of what is sent: one block from its source to its destination. Any
/// other message carries the sizes of its blocks in front, kSizeBytes each.
bool is_plain(std::span<const Block> blocks, int sender, int receiver) noexcept;
inline constexpr int kSizeBytes = 8;

/// The rounds of one rank. All ranks have the same number of rounds; a message belongs to the same round at both ends;
/// at most one message a round goes from one rank to another. A rank's own block is in no message.
class Schedule {
 public:
  virtual ~Schedule() = default;
  /// Overwrites `round` with the next one, which may be empty for this rank. False after the last.
  virtual bool next(Round& round) = 0;
};

/// The topology outlives the schedule.
using MakeSchedule = std::unique_ptr<Schedule> (*)(int rank, const Topology& topology);

/// All P - 1 messages at once: one latency, P - 1 message overheads, each byte once. direct.cpp
std::unique_ptr<Schedule> make_direct(int rank, const Topology& topology);
/// One partner a round, P - 1 rounds: no rank receives from two at once. pairwise.cpp
std::unique_ptr<Schedule> make_pairwise(int rank, const Topology& topology);
/// log2 P rounds with half of all blocks in each. butterfly.cpp
std::unique_ptr<Schedule> make_butterfly(int rank, const Topology& topology);
/// Within the node, then one flow a rail between two nodes, then within the node. hierarchical.cpp
std::unique_ptr<Schedule> make_hierarchical(int rank, const Topology& topology);

}  // namespace swallowtail
