// Where the threads of a local run meet, for local_communicator.cpp alone. One lock for all: these ranks serve tests,
// not speed. Whoever comes last to a call does the work of all under the lock, so no rank reads memory that another,
// woken by a failure, is about to free.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <tuple>
#include <vector>

#include "parallel/activity.h"
#include "parallel/agreement.h"

namespace swallowtail::local {

class Group;

/// What a rank brings to a collective. The spans stay valid until it is done or the Meeting is destroyed.
struct Post {
  Call call;
  void (*perform)(Group& group, std::span<Post* const> posts);  // the work of all ranks; the posts agree
  std::int64_t length = 0;                                      // what every rank must give alike
  ConstChunks send{};                                           // all_gather: bytes alone
  Chunks recv{};
  std::span<std::byte> values{};            // reductions, broadcast, split
  std::shared_ptr<Group>* group = nullptr;  // split
};

/// What ranks of one run share.
class World {
 public:
  World(int world_size, double timeout_s, std::vector<int> node_of);

  ActivitySlot& slot(int rank) const { return board_.slots()[static_cast<std::size_t>(rank)]; }
  const std::vector<int>& node_of() const noexcept { return node_of_; }

  /// The rank's body has returned.
  void finish(int rank);
  /// The rank's body has thrown; the others get `why` from the call that they are in or come to.
  void close(const Error& why);

 private:
  friend class Meeting;
  friend class Gathering;
  friend class Messages;
  struct BoardDeleter {
    void operator()(std::byte* memory) const { ::operator delete (memory, std::align_val_t{64}); }
  };

  [[noreturn]] void fail(const Error& why);  // under the lock
  std::vector<RankState> states() const;

  const double timeout_s_;
  const std::vector<int> node_of_;
  std::unique_ptr<std::byte, BoardDeleter> board_memory_;
  ActivityBoard board_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<bool> finished_;
  std::optional<Error> failure_;
};

/// A rank's part in a call under way. Whoever owns it is on the rank's thread.
class Meeting {
 public:
  virtual ~Meeting() = default;
  bool test();
  /// Returns when done. Errors: Error (ExitCode::rank) of whoever failed, or naming who does not come.
  void wait();
  const Tag& tag() const noexcept { return tag_; }

 protected:
  Meeting(Group& group, int rank, const Tag& tag) : group_(group), rank_(rank), tag_(tag) {}
  virtual bool is_done() const = 0;        // under the lock, as all below
  virtual bool needs(int rank) const = 0;  // of the group: whether the call cannot end without it
  std::mutex& mutex() const;

  Group& group_;
  const int rank_;
  const Tag tag_;
};

/// Ranks that make collective calls together: all of a run, or a part by split().
class Group {
 public:
  /// members [size]: ranks of the run, in the order of the group.
  Group(World& world, std::vector<int> members);

  World& world() const noexcept { return world_; }
  int size() const noexcept { return static_cast<int>(members_.size()); }
  int world_rank(int rank) const { return members_[static_cast<std::size_t>(rank)]; }
  const std::vector<int>& members() const noexcept { return members_; }
  const std::vector<int>& node_of() const noexcept { return node_of_; }

  std::unique_ptr<Meeting> gather(int rank, std::uint32_t channel, const Post& post);
  std::unique_ptr<Meeting> send_and_receive(int rank, std::uint32_t channel, const Call& call,
                                            std::span<const Outgoing> outgoing, std::span<const Incoming> incoming);

 private:
  friend class Gathering;
  friend class Messages;
  /// The posts of one call; it goes when the last rank has looked.
  struct Table {
    std::vector<Post*> posts;
    int arrived = 0;
    bool is_done = false;
  };
  struct Letter;  // one end of a message
  struct Mailbox {
    std::deque<Letter*> sent, expected;
  };
  void compare(std::span<Post* const> posts);

  World& world_;
  const std::vector<int> members_;
  const std::vector<int> node_of_;
  std::map<std::uint32_t, std::shared_ptr<Table>> tables_;
  std::map<std::tuple<std::uint32_t, int, int>, Mailbox> mailboxes_;  // channel, from, to
};

}  // namespace swallowtail::local
