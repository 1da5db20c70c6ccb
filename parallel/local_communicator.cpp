#include "parallel/local_communicator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "parallel/activity.h"
#include "parallel/agreement.h"
#include "parallel/local_world.h"

namespace swallowtail {

namespace {

using local::Group;
using local::Meeting;
using local::Post;
using local::World;
using Bytes = std::span<std::byte>;
using ConstBytes = std::span<const std::byte>;
using Posts = std::span<Post* const>;

template <typename T>
std::span<T> as(Bytes bytes) {
  return {reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T)};
}

// What each collective does once all ranks have come.

void nothing(Group&, Posts) {}

void copy_chunks(Group&, Posts posts) {
  for (std::size_t to = 0; to < posts.size(); ++to)
    for (std::size_t from = 0; from < posts.size(); ++from) {
      const auto& send = posts[from]->send;
      std::ranges::copy(send.offsets.empty() ? send.bytes : send[static_cast<int>(to)],
                        posts[to]->recv[static_cast<int>(from)].begin());
    }
}

void copy_from_root(Group&, Posts posts) {
  const auto root = static_cast<std::size_t>(posts[0]->call.extra);
  for (std::size_t to = 0; to < posts.size(); ++to)
    if (to != root) std::ranges::copy(posts[root]->values, posts[to]->values.begin());
}

struct Sum {
  template <typename T>
  T operator()(T a, T b) const {
    return a + b;
  }
};
struct Max {
  template <typename T>
  T operator()(T a, T b) const {
    return std::max(a, b);
  }
};

template <typename T, typename Combine>
void combine_all(Group&, Posts posts) {
  const auto first = as<T>(posts[0]->values);
  std::vector<T> total(first.begin(), first.end());
  for (const auto* const post : posts.subspan(1))
    std::ranges::transform(total, as<T>(post->values), total.begin(), Combine{});
  for (const auto* const post : posts) std::ranges::copy(total, as<T>(post->values).begin());
}

/// send.bytes: the values; send.offsets in elements; values: where this rank's part goes.
void sum_parts(Group&, Posts posts) {
  for (std::size_t rank = 0; rank < posts.size(); ++rank) {
    const auto out = as<float>(posts[rank]->values);
    const auto start = static_cast<std::size_t>(posts[rank]->send.offsets[rank]);
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = 0;
      for (const auto* const post : posts) out[i] += reinterpret_cast<const float*>(post->send.bytes.data())[start + i];
    }
  }
}

void make_groups(Group& group, Posts posts) {
  const auto color = [&](std::size_t rank) { return as<int>(posts[rank]->values)[0]; };
  for (std::size_t rank = 0; rank < posts.size(); ++rank) {
    if (*posts[rank]->group) continue;
    std::vector<int> members;
    for (std::size_t other = 0; other < posts.size(); ++other)
      if (color(other) == color(rank)) members.push_back(group.world_rank(static_cast<int>(other)));
    const auto made = std::make_shared<Group>(group.world(), std::move(members));
    for (std::size_t other = 0; other < posts.size(); ++other)
      if (color(other) == color(rank)) *posts[other]->group = made;
  }
}

class LocalPending final : public Pending {
 public:
  LocalPending(std::unique_ptr<Meeting> meeting, Reporter& reporter)
      : meeting_(std::move(meeting)), reporter_(reporter) {}
  bool test() override { return meeting_->test(); }
  void wait() override {
    if (meeting_->test()) return;
    reporter_.begin_wait(meeting_->tag());
    meeting_->wait();
    reporter_.end_call();
  }

 private:
  std::unique_ptr<Meeting> meeting_;
  Reporter& reporter_;
};

class LocalCommunicator : public Communicator {
 public:
  LocalCommunicator(std::shared_ptr<Group> group, int rank, Reporter& reporter)
      : group_(std::move(group)), rank_(rank), reporter_(reporter) {}

  int rank() const noexcept override { return rank_; }
  int world_size() const noexcept override { return group_->size(); }
  std::span<const int> node_of() const noexcept override { return group_->node_of(); }

  void all_to_all(const Tag& tag, ConstChunks send, Chunks recv) override {
    together({.call = {Collective::all_to_all, tag}, .perform = copy_chunks, .send = send, .recv = recv});
  }

  void all_reduce_sum(const Tag& tag, std::span<float> values) override { reduce<float, Sum>(tag, values, 0); }
  void all_reduce_sum(const Tag& tag, std::span<double> values) override { reduce<double, Sum>(tag, values, 1); }
  void all_reduce_sum(const Tag& tag, std::span<std::int64_t> values) override {
    reduce<std::int64_t, Sum>(tag, values, 2);
  }
  void all_reduce_max(const Tag& tag, std::span<std::int64_t> values) override {
    reduce<std::int64_t, Max>(tag, values, 3);
  }

  void reduce_scatter_sum(const Tag& tag, std::span<const float> values, std::span<const std::int64_t> offsets,
                          std::span<float> out) override {
    check_own_part(group_->world_rank(rank_), rank_, offsets, std::ssize(values), std::ssize(out), tag);
    together({.call = {Collective::reduce_scatter, tag, offsets_hash(offsets)},
              .perform = sum_parts,
              .length = std::ssize(values) * 4,
              .send = {std::as_bytes(values), offsets},
              .values = std::as_writable_bytes(out)});
  }

  void all_gather(const Tag& tag, ConstBytes send, Chunks recv) override {
    together({.call = {Collective::all_gather, tag}, .perform = copy_chunks, .send = {send, {}}, .recv = recv});
  }

  void broadcast(const Tag& tag, int root, Bytes bytes) override {
    together({.call = {Collective::broadcast, tag, static_cast<std::uint64_t>(root)},
              .perform = copy_from_root,
              .length = std::ssize(bytes),
              .values = bytes});
  }

  void barrier(const Tag& tag) override { together({.call = {Collective::barrier, tag}, .perform = nothing}); }

  std::uint32_t open_channel() noexcept override {
    reporter_.count_call();
    return ++channel_;
  }

  std::unique_ptr<Pending> start_messages(const Tag& tag, std::uint32_t channel, std::span<const Outgoing> outgoing,
                                          std::span<const Incoming> incoming) override {
    check_messages(group_->world_rank(rank_), rank_, outgoing, incoming, tag);
    return pending(group_->send_and_receive(rank_, channel, {Collective::exchange, tag}, outgoing, incoming));
  }
  std::unique_ptr<Pending> start_all_to_all(const Tag& tag, ConstChunks send, Chunks recv) override {
    return pending(group_->gather(
        rank_, open_channel(),
        {.call = {Collective::start_all_to_all, tag}, .perform = copy_chunks, .send = send, .recv = recv}));
  }
  std::unique_ptr<Pending> start_all_reduce_sum(const Tag& tag, std::span<float> values) override {
    return pending(group_->gather(rank_, open_channel(),
                                  {.call = {Collective::start_all_reduce, tag},
                                   .perform = combine_all<float, Sum>,
                                   .length = std::ssize(values) * 4,
                                   .values = std::as_writable_bytes(values)}));
  }

  std::unique_ptr<Communicator> split(const Tag& tag, int color) override {
    std::shared_ptr<Group> group;
    together({.call = {Collective::split, tag},
              .perform = make_groups,
              .values = std::as_writable_bytes(std::span(&color, 1)),
              .group = &group});
    const auto rank = std::ranges::find(group->members(), group_->world_rank(rank_)) - group->members().begin();
    return std::make_unique<LocalCommunicator>(group, static_cast<int>(rank), reporter_);
  }

 private:
  std::unique_ptr<Pending> pending(std::unique_ptr<Meeting> meeting) {
    return std::make_unique<LocalPending>(std::move(meeting), reporter_);
  }

  void together(const Post& post) {
    reporter_.begin_call(post.call.tag);
    group_->gather(rank_, ++channel_, post)->wait();
    reporter_.end_call();
  }

  template <typename T, typename Combine>
  void reduce(const Tag& tag, std::span<T> values, std::uint64_t kind) {
    together({.call = {Collective::all_reduce, tag, kind},
              .perform = combine_all<T, Combine>,
              .length = std::ssize(values) * static_cast<std::int64_t>(sizeof(T)),
              .values = std::as_writable_bytes(values)});
  }

  const std::shared_ptr<Group> group_;
  const int rank_;
  Reporter& reporter_;
  std::uint32_t channel_ = 0;  // of the latest collective or opened channel
};

/// A world and its only rank.
class SingleWorld {
 protected:
  SingleWorld() : world_(1, 1.0, {0}), own_reporter_(world_.slot(0)) {}
  World world_;
  Reporter own_reporter_;
};

/// One rank on the caller's thread. The world is complete with it, so no call ever waits.
class SingleCommunicator final : private SingleWorld, public LocalCommunicator {
 public:
  SingleCommunicator() : LocalCommunicator(std::make_shared<Group>(world_, std::vector<int>{0}), 0, own_reporter_) {}
  void all_reduce_sum(const Tag&, std::span<float>) override {}
  void all_reduce_sum(const Tag&, std::span<double>) override {}
  void all_reduce_sum(const Tag&, std::span<std::int64_t>) override {}
  void all_reduce_max(const Tag&, std::span<std::int64_t>) override {}
  void broadcast(const Tag&, int, Bytes) override {}
  void barrier(const Tag&) override {}
};

}  // namespace

void run_ranks(int world_size, const std::function<void(Communicator&)>& body, LocalOptions options) {
  if (options.machines.empty()) options.machines.resize(static_cast<std::size_t>(world_size));
  if (std::ssize(options.machines) != world_size) throw std::logic_error("run_ranks needs a machine for each rank");
  std::vector<int> everyone;
  for (int rank = 0; rank < world_size; ++rank) everyone.push_back(rank);
  World world(world_size, options.timeout_s, numbered_in_order(options.machines));
  const auto all = std::make_shared<Group>(world, everyone);
  std::mutex mutex;
  std::exception_ptr first;
  const auto run = [&](int rank) {
    Reporter reporter(world.slot(rank));
    LocalCommunicator ranks(all, rank, reporter);
    const BoundReporter bound(reporter);
    const auto failed = [&](const Error& why) {
      const std::lock_guard lock(mutex);
      if (!first) first = std::current_exception();
      world.close(why);
    };
    try {
      body(ranks);
      reporter.finish();
      world.finish(rank);
    } catch (const Error& error) {
      failed({ExitCode::rank, fmt::format("rank {} failed: {}", rank, error.fact()), error.where(), error.advice()});
    } catch (const std::exception& error) {
      failed({ExitCode::rank, fmt::format("rank {} failed: {}", rank, error.what()), fmt::format("rank {}", rank)});
    } catch (...) {
      failed({ExitCode::rank, fmt::format("rank {} failed", rank), fmt::format("rank {}", rank)});
    }
  };
  std::vector<std::thread> threads;
  for (int rank = 0; rank < world_size; ++rank) threads.emplace_back(run, rank);
  for (auto& thread : threads) thread.join();
  if (first) std::rethrow_exception(first);
}

std::unique_ptr<Communicator> make_single_rank() { return std::make_unique<SingleCommunicator>(); }

}  // namespace swallowtail
