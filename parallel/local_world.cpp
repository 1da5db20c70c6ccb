#include "parallel/local_world.h"

#include <algorithm>
#include <chrono>

namespace swallowtail::local {

namespace {

std::vector<int> nodes_of(const std::vector<int>& node_of, const std::vector<int>& members) {
  std::vector<int> nodes;
  for (const int member : members) nodes.push_back(node_of[static_cast<std::size_t>(member)]);
  return numbered_in_order(nodes);
}

}  // namespace

World::World(int world_size, double timeout_s, std::vector<int> node_of)
    : timeout_s_(timeout_s),
      node_of_(std::move(node_of)),
      board_memory_(static_cast<std::byte*>(::operator new (ActivityBoard::bytes(world_size), std::align_val_t{64}))),
      board_(board_memory_.get(), world_size, true),
      finished_(static_cast<std::size_t>(world_size)) {
  for (int rank = 0; rank < world_size; ++rank) slot(rank).set_owner(rank, 0);
}

void World::finish(int rank) {
  const std::lock_guard lock(mutex_);
  finished_[static_cast<std::size_t>(rank)] = true;
  changed_.notify_all();
}

void World::close(const Error& why) {
  const std::lock_guard lock(mutex_);
  if (!failure_) failure_ = why;
  changed_.notify_all();
}

void World::fail(const Error& why) {
  if (!failure_) failure_ = why;
  changed_.notify_all();
  throw Error(*failure_);
}

std::vector<RankState> World::states() const {
  std::vector<RankState> found;
  for (int rank = 0; rank < std::ssize(finished_); ++rank) found.push_back({rank, slot(rank).read()});
  return found;
}

std::mutex& Meeting::mutex() const { return group_.world().mutex_; }

bool Meeting::test() {
  const std::lock_guard lock(mutex());
  if (is_done()) return true;
  if (const auto& failure = group_.world().failure_) throw Error(*failure);
  return false;
}

void Meeting::wait() {
  auto& world = group_.world();
  std::unique_lock lock(world.mutex_);
  const auto is_stuck = [&] {
    for (int rank = 0; rank < group_.size(); ++rank)
      if (world.finished_[static_cast<std::size_t>(group_.world_rank(rank))] && needs(rank)) return true;
    return false;
  };
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(world.timeout_s_);
  const bool in_time =
      world.changed_.wait_until(lock, deadline, [&] { return is_done() || world.failure_ || is_stuck(); });
  if (is_done()) return;
  if (world.failure_) throw Error(*world.failure_);
  world.fail(
      missed_call(group_.world_rank(rank_), tag_, in_time ? 0 : world.timeout_s_, world.states(), group_.members()));
}

Group::Group(World& world, std::vector<int> members)
    : world_(world), members_(std::move(members)), node_of_(nodes_of(world.node_of(), members_)) {}

class Gathering final : public Meeting {
 public:
  Gathering(Group& group, int rank, std::uint32_t channel, const Post& post)
      : Meeting(group, rank, post.call.tag), channel_(channel), post_(post) {
    const std::lock_guard lock(mutex());
    if (const auto& failure = group.world().failure_) throw Error(*failure);
    auto& table = group.tables_[channel];
    if (!table) {
      table = std::make_shared<Group::Table>();
      table->posts.resize(static_cast<std::size_t>(group.size()));
    }
    table_ = table;
    table_->posts[static_cast<std::size_t>(rank)] = &post_;
    if (++table_->arrived < group.size()) return;
    group.tables_.erase(channel);
    try {
      group.compare(table_->posts);
    } catch (const Error& error) {
      group.world().fail(error);
    }
    post_.perform(group, table_->posts);
    table_->is_done = true;
    group.world().changed_.notify_all();
  }
  ~Gathering() override {
    const std::lock_guard lock(mutex());
    if (table_->is_done) return;
    table_->posts[static_cast<std::size_t>(rank_)] = nullptr;
    table_->arrived = -group_.size();  // never complete any more
  }

 private:
  bool is_done() const override { return table_->is_done; }
  bool needs(int rank) const override { return table_->posts[static_cast<std::size_t>(rank)] == nullptr; }

  const std::uint32_t channel_;
  Post post_;
  std::shared_ptr<Group::Table> table_;
};

std::unique_ptr<Meeting> Group::gather(int rank, std::uint32_t channel, const Post& post) {
  return std::make_unique<Gathering>(*this, rank, channel, post);
}

/// Throws where the posts differ.
void Group::compare(std::span<Post* const> posts) {
  const auto& first = *posts[0];
  const auto& tag = first.call.tag;
  for (int rank = 1; rank < size(); ++rank) {
    const auto& other = *posts[static_cast<std::size_t>(rank)];
    if (call_hash(other.call) != call_hash(first.call))
      throw different_calls(world_rank(0), first.call, world_rank(rank), other.call);
    if (other.length != first.length)
      throw different_lengths(world_rank(0), first.length, world_rank(rank), other.length, tag);
  }
  if (first.recv.offsets.empty()) return;
  for (int to = 0; to < size(); ++to)
    for (int from = 0; from < size(); ++from) {
      const auto& sender = posts[static_cast<std::size_t>(from)]->send;
      const auto sent = sender.offsets.empty() ? std::ssize(sender.bytes) : std::ssize(sender[to]);
      const auto wanted = std::ssize(posts[static_cast<std::size_t>(to)]->recv[from]);
      if (sent != wanted) throw different_sizes(world_rank(from), sent, world_rank(to), wanted, tag);
    }
}

struct Group::Letter {
  Call call;
  int peer;
  std::span<const std::byte> sent{};
  Incoming expected{};
  bool is_done = false;
};

class Messages final : public Meeting {
 public:
  Messages(Group& group, int rank, std::uint32_t channel, const Call& call, std::span<const Outgoing> outgoing,
           std::span<const Incoming> incoming)
      : Meeting(group, rank, call.tag), channel_(channel) {
    const std::lock_guard lock(mutex());
    if (const auto& failure = group.world().failure_) throw Error(*failure);
    for (const auto& message : outgoing) sent_.push_back({call, message.to, message.bytes});
    for (const auto& message : incoming) expected_.push_back({call, message.from, {}, message});
    for (auto& letter : sent_) outbox(letter).sent.push_back(&letter);
    for (auto& letter : expected_) inbox(letter).expected.push_back(&letter);
    for (auto& letter : sent_) deliver(rank, letter.peer, outbox(letter));
    for (auto& letter : expected_) deliver(letter.peer, rank, inbox(letter));
  }
  ~Messages() override {
    const std::lock_guard lock(mutex());
    for (auto& letter : sent_)
      if (!letter.is_done) std::erase(outbox(letter).sent, &letter);
    for (auto& letter : expected_)
      if (!letter.is_done) std::erase(inbox(letter).expected, &letter);
  }

 private:
  using Letter = Group::Letter;
  Group::Mailbox& outbox(const Letter& letter) { return group_.mailboxes_[{channel_, rank_, letter.peer}]; }
  Group::Mailbox& inbox(const Letter& letter) { return group_.mailboxes_[{channel_, letter.peer, rank_}]; }

  /// Copies where both ends are there.
  void deliver(int from, int to, Group::Mailbox& box) {
    while (!box.sent.empty() && !box.expected.empty()) {
      auto &sent = *box.sent.front(), &expected = *box.expected.front();
      auto& world = group_.world();
      const int sender = group_.world_rank(from), receiver = group_.world_rank(to);
      if (call_hash(sent.call) != call_hash(expected.call))
        world.fail(different_calls(sender, sent.call, receiver, expected.call));
      auto& target = expected.expected;
      if (target.any_size) {
        target.any_size->assign(sent.sent.begin(), sent.sent.end());
      } else {
        if (sent.sent.size() != target.bytes.size())
          world.fail(different_sizes(sender, std::ssize(sent.sent), receiver, std::ssize(target.bytes), sent.call.tag));
        std::ranges::copy(sent.sent, target.bytes.begin());
      }
      sent.is_done = expected.is_done = true;
      box.sent.pop_front();
      box.expected.pop_front();
      world.changed_.notify_all();
    }
    if (box.sent.empty() && box.expected.empty()) group_.mailboxes_.erase({channel_, from, to});
  }

  bool is_done() const override {
    return std::ranges::all_of(sent_, &Letter::is_done) && std::ranges::all_of(expected_, &Letter::is_done);
  }
  bool needs(int rank) const override {
    const auto waits = [rank](const Letter& letter) { return !letter.is_done && letter.peer == rank; };
    return std::ranges::any_of(sent_, waits) || std::ranges::any_of(expected_, waits);
  }

  const std::uint32_t channel_;
  std::deque<Letter> sent_, expected_;  // their addresses are in the mailboxes
};

std::unique_ptr<Meeting> Group::send_and_receive(int rank, std::uint32_t channel, const Call& call,
                                                 std::span<const Outgoing> outgoing,
                                                 std::span<const Incoming> incoming) {
  return std::make_unique<Messages>(*this, rank, channel, call, outgoing, incoming);
}

}  // namespace swallowtail::local
