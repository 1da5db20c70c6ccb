#include "parallel/local_communicator.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "parallel/activity.h"
#include "parallel/agreement.h"

namespace swallowtail {

namespace {

using Bytes = std::span<std::byte>;
using ConstBytes = std::span<const std::byte>;

/// What a rank brings to a collective. The spans stay valid until every rank has left it.
struct Post {
  Call call;
  ConstChunks send{};                            // all_to_all; all_gather: bytes alone
  std::span<const std::int64_t> recv_offsets{};  // all_to_all, all_gather
  Bytes values{};                                // reductions, broadcast
};

/// What a rank sends to another one by exchange(); the sender waits until it is taken.
struct Mail {
  bool is_full = false;
  Call call{};
  ConstBytes bytes{};
};

/// Where the ranks of one run meet. One lock for all: these ranks serve tests, not speed.
class Hub {
 public:
  Hub(int world_size, double timeout_s)
      : world_size_(world_size),
        timeout_s_(timeout_s),
        board_memory_(static_cast<std::byte*>(::operator new (ActivityBoard::bytes(world_size), std::align_val_t{64}))),
        board_(board_memory_.get(), world_size, true),
        posts_(static_cast<std::size_t>(world_size)),
        mail_(static_cast<std::size_t>(world_size) * static_cast<std::size_t>(world_size)) {
    for (int rank = 0; rank < world_size; ++rank) board_.slots()[static_cast<std::size_t>(rank)].set_owner(rank, 0);
  }

  int world_size() const noexcept { return world_size_; }
  ActivitySlot& slot(int rank) const { return board_.slots()[static_cast<std::size_t>(rank)]; }
  const Post& post(int rank) const { return *posts_[static_cast<std::size_t>(rank)]; }

  /// Returns when every rank has posted and all agree; then post(r) may be read until leave().
  void meet(int rank, const Post& post) {
    posts_[static_cast<std::size_t>(rank)] = &post;
    rendezvous(rank, post.call.tag, true);
  }
  void leave(int rank, const Tag& tag) { rendezvous(rank, tag, false); }

  void exchange(int rank, const Call& call, int to, ConstBytes send, int from, Bytes recv) {
    std::unique_lock lock(mutex_);
    auto& out = mail(rank, to);
    auto& in = mail(from, rank);
    out = {true, call, send};
    changed_.notify_all();
    wait(lock, rank, call.tag, from, [&] { return in.is_full; });
    if (call_hash(in.call) != call_hash(call))
      fail(different_calls(std::min(rank, from), rank < from ? call : in.call, std::max(rank, from),
                           rank < from ? in.call : call));
    if (in.bytes.size() != recv.size())
      fail(different_sizes(from, std::ssize(in.bytes), rank, std::ssize(recv), call.tag));
    std::ranges::copy(in.bytes, recv.begin());
    in.is_full = false;
    changed_.notify_all();
    wait(lock, rank, call.tag, to, [&] { return !out.is_full; });
  }

  /// The rank's body has returned.
  void finish() {
    const std::lock_guard lock(mutex_);
    ++finished_;
    changed_.notify_all();
  }
  /// The rank's body has thrown; the others get `why` from the call that they are in or come to.
  void close(const Error& why) {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = why;
    changed_.notify_all();
  }

 private:
  struct BoardDeleter {
    void operator()(std::byte* memory) const { ::operator delete (memory, std::align_val_t{64}); }
  };

  Mail& mail(int from, int to) { return mail_[static_cast<std::size_t>(from * world_size_ + to)]; }

  [[noreturn]] void fail(const Error& why) {
    if (!failure_) failure_ = why;
    changed_.notify_all();
    throw *failure_;
  }

  void rendezvous(int rank, const Tag& tag, bool compare_posts) {
    std::unique_lock lock(mutex_);
    if (failure_) throw *failure_;
    if (++arrived_ < world_size_) {
      const auto generation = generation_;
      return wait(lock, rank, tag, -1, [&] { return generation_ != generation; });
    }
    arrived_ = 0;
    if (compare_posts) compare();
    ++generation_;
    changed_.notify_all();
  }

  /// `partner`: the rank that is waited for, -1 for all.
  template <typename Ready>
  void wait(std::unique_lock<std::mutex>& lock, int rank, const Tag& tag, int partner, Ready is_ready) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(timeout_s_);
    const bool in_time = changed_.wait_until(lock, deadline, [&] { return is_ready() || failure_ || finished_ > 0; });
    if (failure_) throw *failure_;
    if (is_ready()) return;
    // A rank that has left may have done all that a pair of others waits for; only its own partner is stuck for good.
    if (in_time && partner >= 0 && !has_finished(partner)) {
      if (changed_.wait_until(lock, deadline, [&] { return is_ready() || failure_ || has_finished(partner); }) &&
          !failure_ && is_ready())
        return;
      if (failure_) throw *failure_;
    }
    fail(missed_call(rank, tag, in_time ? 0 : timeout_s_, states()));
  }

  bool has_finished(int rank) const {
    const auto report = slot(rank).read();
    return report && report->finished;
  }

  std::vector<RankState> states() const {
    std::vector<RankState> found;
    for (int rank = 0; rank < world_size_; ++rank) found.push_back({rank, slot(rank).read()});
    return found;
  }

  /// Throws where the posts differ. Called by the rank that came last.
  void compare() {
    const auto& first = post(0);
    for (int rank = 1; rank < world_size_; ++rank)
      if (call_hash(post(rank).call) != call_hash(first.call))
        fail(different_calls(0, first.call, rank, post(rank).call));
    for (int rank = 1; rank < world_size_; ++rank)
      if (post(rank).values.size() != first.values.size())
        fail(different_lengths(0, std::ssize(first.values), rank, std::ssize(post(rank).values), first.call.tag));
    for (int to = 0; to < world_size_; ++to)
      for (int from = 0; from < world_size_; ++from) {
        const auto& sender = post(from);
        const auto& expected = post(to).recv_offsets;
        if (expected.empty()) continue;
        const auto sent = sender.send.offsets.empty() ? std::ssize(sender.send.bytes)
                                                      : sender.send.offsets[static_cast<std::size_t>(to) + 1] -
                                                            sender.send.offsets[static_cast<std::size_t>(to)];
        const auto wanted = expected[static_cast<std::size_t>(from) + 1] - expected[static_cast<std::size_t>(from)];
        if (sent != wanted) fail(different_sizes(from, sent, to, wanted, sender.call.tag));
      }
  }

  const int world_size_;
  const double timeout_s_;
  std::unique_ptr<std::byte, BoardDeleter> board_memory_;
  ActivityBoard board_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<const Post*> posts_;
  std::vector<Mail> mail_;
  int arrived_ = 0, finished_ = 0;
  std::uint64_t generation_ = 0;
  std::optional<Error> failure_;
};

class LocalCommunicator final : public Communicator {
 public:
  LocalCommunicator(Hub& hub, int rank) : hub_(hub), rank_(rank), reporter_(hub.slot(rank)) {}

  int rank() const noexcept override { return rank_; }
  int world_size() const noexcept override { return hub_.world_size(); }
  int node_local_ranks() const noexcept override { return hub_.world_size(); }
  Reporter& reporter() noexcept { return reporter_; }

  void all_to_all(const Tag& tag, ConstChunks send, Chunks recv) override {
    together({{Collective::all_to_all, tag}, send, recv.offsets, {}}, [&] {
      for (int from = 0; from < world_size(); ++from)
        std::ranges::copy(hub_.post(from).send[rank_], recv[from].begin());
    });
  }

  void exchange(const Tag& tag, int to, ConstBytes send, int from, Bytes recv) override {
    reporter_.begin_call(tag);
    hub_.exchange(rank_, {Collective::exchange, tag}, to, send, from, recv);
    reporter_.end_call();
  }

  void all_reduce_sum(const Tag& tag, std::span<float> values) override { reduce(tag, values, 0, std::plus<>{}); }
  void all_reduce_sum(const Tag& tag, std::span<double> values) override { reduce(tag, values, 1, std::plus<>{}); }
  void all_reduce_sum(const Tag& tag, std::span<std::int64_t> values) override {
    reduce(tag, values, 2, std::plus<>{});
  }
  void all_reduce_max(const Tag& tag, std::span<std::int64_t> values) override {
    reduce(tag, values, 3, [](std::int64_t a, std::int64_t b) { return std::max(a, b); });
  }

  void all_gather(const Tag& tag, ConstBytes send, Chunks recv) override {
    together({{Collective::all_gather, tag}, {send, {}}, recv.offsets, {}}, [&] {
      for (int from = 0; from < world_size(); ++from) std::ranges::copy(hub_.post(from).send.bytes, recv[from].begin());
    });
  }

  void broadcast(const Tag& tag, int root, Bytes bytes) override {
    together({{Collective::broadcast, tag, static_cast<std::uint64_t>(root)}, {}, {}, bytes}, [&] {
      if (rank_ != root) std::ranges::copy(hub_.post(root).values, bytes.begin());
    });
  }

  void barrier(const Tag& tag) override {
    together({{Collective::barrier, tag}}, [] {});
  }

 private:
  template <typename Read>
  void together(const Post& post, Read read) {
    reporter_.begin_call(post.call.tag);
    hub_.meet(rank_, post);
    read();
    hub_.leave(rank_, post.call.tag);
    reporter_.end_call();
  }

  template <typename T, typename Combine>
  void reduce(const Tag& tag, std::span<T> values, std::uint64_t kind, Combine combine) {
    std::vector<T> total(values.size());  // the others read `values` until all have left
    together({{Collective::all_reduce, tag, kind}, {}, {}, std::as_writable_bytes(values)}, [&] {
      for (int from = 0; from < world_size(); ++from) {
        const auto* theirs = reinterpret_cast<const T*>(hub_.post(from).values.data());
        for (std::size_t i = 0; i < total.size(); ++i) total[i] = from == 0 ? theirs[i] : combine(total[i], theirs[i]);
      }
    });
    std::ranges::copy(total, values.begin());
  }

  Hub& hub_;
  const int rank_;
  Reporter reporter_;
};

/// A hub and its only rank.
class SingleRank {
 public:
  SingleRank() : hub_(1, 1.0) {}

 protected:
  Hub hub_;
};

/// One rank on the caller's thread. The world is complete with it, so no call ever waits.
class SingleCommunicator final : private SingleRank, public Communicator {
 public:
  SingleCommunicator() : ranks_(hub_, 0) {}
  int rank() const noexcept override { return 0; }
  int world_size() const noexcept override { return 1; }
  int node_local_ranks() const noexcept override { return 1; }
  void all_to_all(const Tag& tag, ConstChunks send, Chunks recv) override { ranks_.all_to_all(tag, send, recv); }
  void exchange(const Tag& tag, int to, ConstBytes send, int from, Bytes recv) override {
    ranks_.exchange(tag, to, send, from, recv);
  }
  void all_reduce_sum(const Tag&, std::span<float>) override {}
  void all_reduce_sum(const Tag&, std::span<double>) override {}
  void all_reduce_sum(const Tag&, std::span<std::int64_t>) override {}
  void all_reduce_max(const Tag&, std::span<std::int64_t>) override {}
  void all_gather(const Tag& tag, ConstBytes send, Chunks recv) override { ranks_.all_gather(tag, send, recv); }
  void broadcast(const Tag&, int, Bytes) override {}
  void barrier(const Tag&) override {}

 private:
  LocalCommunicator ranks_;
};

}  // namespace

void run_ranks(int world_size, const std::function<void(Communicator&)>& body, LocalOptions options) {
  Hub hub(world_size, options.timeout_s);
  std::mutex mutex;
  std::exception_ptr first;
  const auto run = [&](int rank) {
    LocalCommunicator ranks(hub, rank);
    const BoundReporter bound(ranks.reporter());
    const auto failed = [&](const Error& why) {
      const std::lock_guard lock(mutex);
      if (!first) first = std::current_exception();
      hub.close(why);
    };
    try {
      body(ranks);
      ranks.reporter().finish();
      hub.finish();
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
