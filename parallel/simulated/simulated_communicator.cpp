#include "parallel/simulated/simulated_communicator.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <optional>
#include <queue>
#include <tuple>

#include "parallel/agreement.h"
#include "parallel/simulated/fiber.h"
#include "parallel/simulated/network_clock.h"

namespace swallowtail {

namespace {

constexpr double kTest_s = 1e-6;

std::size_t index(int i) { return static_cast<std::size_t>(i); }

/// One rank's part in a start_messages call.
struct Exchange {
  int rank = 0;  // of the run, as all ranks here
  Call call{};
  int open_ends = 0;           // messages that are not done
  double end_s = 0;            // of those that are
  std::vector<int> awaited{};  // senders of messages that have not come
  bool is_dropped = false;     // its Pending is gone: the run is about to end
};

/// A message from its start to the receiver's own memory.
struct Letter {
  Call call;
  std::vector<std::byte> bytes;
  double arrived_s = 0;
};
struct Expected {
  std::shared_ptr<Exchange> exchange;
  Incoming message;
};
struct Mailbox {
  std::deque<Letter> letters;     // that are there
  std::deque<Expected> expected;  // that are asked for
};

/// The fibers and the events between them, in the order of virtual time.
class World {
 public:
  World(int world_size, const SimulatedOptions& options)
      : topology_(options.machines.empty() ? full_nodes(world_size, options.network.ranks_per_node) : options.machines),
        clock_(options.network, topology_),
        ranks_(index(world_size)) {}

  const Topology& topology() const noexcept { return topology_; }
  NetworkClock& clock() noexcept { return clock_; }
  double& now_s(int rank) { return ranks_[index(rank)].now_s; }
  Mailbox& mailbox(std::uint64_t group, std::uint32_t channel, int from, int to) {
    return mailboxes_[{group, channel, from, to}];
  }

  void at(double time_s, std::function<void()> action) { events_.push({time_s, next_event_++, std::move(action)}); }

  /// Called by the fiber of `rank`: it goes on at time_s.
  void sleep_until(int rank, double time_s) {
    at(time_s, [this, rank, time_s] { resume(rank, time_s); });
    stop(rank);
  }
  /// Called by the fiber of the exchange's rank.
  void wait(const std::shared_ptr<Exchange>& exchange) {
    auto& rank = ranks_[index(exchange->rank)];
    if (exchange->open_ends > 0) {
      rank.waits = exchange;
      stop(exchange->rank);
    } else if (exchange->end_s > rank.now_s) {
      sleep_until(exchange->rank, exchange->end_s);
    }
  }
  void end_message(const std::shared_ptr<Exchange>& exchange, double time_s) {
    exchange->end_s = std::max(exchange->end_s, time_s);
    if (--exchange->open_ends > 0) return;
    auto& rank = ranks_[index(exchange->rank)];
    if (rank.waits != exchange) return;
    rank.waits.reset();
    at(exchange->end_s, [this, exchange] { resume(exchange->rank, exchange->end_s); });
  }
  void fail(const Error& error) {
    if (!failure_) failure_ = error;
  }
  void throw_failure() const {
    if (failure_) throw Error(*failure_);
  }

  double run(const std::function<void(int)>& body, std::size_t stack_bytes) {
    for (int rank = 0; rank < topology_.world_size(); ++rank) {
      ranks_[index(rank)].fiber = std::make_unique<Fiber>(stack_bytes, [this, rank, &body] { run_rank(rank, body); });
      at(0, [this, rank] { resume(rank, 0); });
    }
    while (!events_.empty() && !failure_) {
      const auto action = std::move(events_.top().action);
      events_.pop();
      action();
    }
    if (!failure_) look_for_stuck_ranks();
    // Those that are still in a call leave it with the error, so that their stacks are taken down.
    for (int rank = 0; failure_ && rank < topology_.world_size(); ++rank)
      if (auto& fiber = ranks_[index(rank)].fiber; !fiber->has_ended()) fiber->resume();
    if (first_exception_) std::rethrow_exception(first_exception_);
    if (failure_) throw Error(*failure_);
    return std::ranges::max_element(ranks_, {}, &Rank::now_s)->now_s;
  }

 private:
  struct Rank {
    std::unique_ptr<Fiber> fiber;
    double now_s = 0;
    std::shared_ptr<Exchange> waits;
  };
  struct Event {
    double time_s;
    std::uint64_t number;  // equal times: in the order of their making
    mutable std::function<void()> action;
    bool operator<(const Event& other) const { return std::tie(other.time_s, other.number) < std::tie(time_s, number); }
  };

  void resume(int rank, double time_s) {
    ranks_[index(rank)].now_s = std::max(ranks_[index(rank)].now_s, time_s);
    ranks_[index(rank)].fiber->resume();
  }
  void stop(int rank) {
    throw_failure();
    ranks_[index(rank)].fiber->suspend();
    throw_failure();
  }

  void run_rank(int rank, const std::function<void(int)>& body) {
    if (failure_) return;
    try {
      body(rank);
    } catch (const Error& error) {
      failed({ExitCode::rank, fmt::format("rank {} failed: {}", rank, error.fact()), error.where(), error.advice()});
    } catch (const std::exception& error) {
      failed({ExitCode::rank, fmt::format("rank {} failed: {}", rank, error.what()), fmt::format("rank {}", rank)});
    }
  }
  void failed(const Error& error) {
    if (failure_) return;  // it only hears of another's
    first_exception_ = std::current_exception();
    failure_ = error;
  }

  void look_for_stuck_ranks() {
    for (const auto& rank : ranks_)
      if (rank.waits) {
        const auto& exchange = *rank.waits;
        failure_ = Error{ExitCode::rank,
                         fmt::format("rank {} waits in {} for rank {}, and no rank can go on", exchange.rank,
                                     call_name(exchange.call.tag.operation, exchange.call.tag.step),
                                     fmt::join(exchange.awaited, ", ")),
                         fmt::format("rank {}", exchange.rank)};
        return;
      }
  }

  const Topology topology_;
  NetworkClock clock_;
  std::vector<Rank> ranks_;
  std::priority_queue<Event> events_;
  std::uint64_t next_event_ = 0;
  std::map<std::tuple<std::uint64_t, std::uint32_t, int, int>, Mailbox> mailboxes_;
  std::optional<Error> failure_;
  std::exception_ptr first_exception_;
};

class PendingExchange final : public Pending {
 public:
  PendingExchange(World& world, std::shared_ptr<Exchange> exchange) : world_(world), exchange_(std::move(exchange)) {}
  ~PendingExchange() override { exchange_->is_dropped = true; }

  bool test() override {
    const int rank = exchange_->rank;
    if (is_done()) return true;
    world_.sleep_until(rank, world_.now_s(rank) + kTest_s);
    return is_done();
  }
  void wait() override { world_.wait(exchange_); }

 private:
  bool is_done() const { return exchange_->open_ends == 0 && exchange_->end_s <= world_.now_s(exchange_->rank); }
  World& world_;
  const std::shared_ptr<Exchange> exchange_;
};

class Simulated final : public SimulatedCommunicator {
 public:
  Simulated(World& world, int rank, std::vector<int> members, std::uint64_t group)
      : world_(world), rank_(rank), members_(std::move(members)), group_(group) {
    std::vector<int> nodes;
    for (const int member : members_) nodes.push_back(world_.topology().node(member));
    node_of_ = numbered_in_order(nodes);
  }

  int rank() const noexcept override { return rank_; }
  int world_size() const noexcept override { return static_cast<int>(members_.size()); }
  std::span<const int> node_of() const noexcept override { return node_of_; }
  double now_s() const noexcept override { return world_.now_s(self()); }
  void work(double seconds) override { world_.sleep_until(self(), world_.clock().work(self(), now_s(), seconds)); }
  std::uint32_t open_channel() noexcept override { return ++channel_; }

  std::unique_ptr<Pending> start_messages(const Tag& tag, std::uint32_t channel, std::span<const Outgoing> outgoing,
                                          std::span<const Incoming> incoming) override {
    world_.throw_failure();
    check_messages(self(), rank_, outgoing, incoming, tag);
    auto exchange = std::make_shared<Exchange>();
    exchange->rank = self();
    exchange->call = {Collective::exchange, tag};
    exchange->end_s = now_s();
    auto pending = std::make_unique<PendingExchange>(world_, exchange);
    if (outgoing.empty() && incoming.empty()) return pending;
    double time_s = world_.clock().work(self(), now_s(), world_.clock().network().round_overhead_s);
    for (const auto& message : incoming) exchange->awaited.push_back(member(message.from));
    exchange->open_ends = static_cast<int>(incoming.size() + outgoing.size());
    for (const auto& message : outgoing) time_s = send(exchange, channel, message, time_s);
    for (const auto& message : incoming) {
      auto& box = world_.mailbox(group_, channel, member(message.from), self());
      box.expected.push_back({exchange, message});
      match(world_, box, member(message.from), self(), time_s);
    }
    world_.sleep_until(self(), time_s);
    return pending;
  }

  std::unique_ptr<Communicator> split(const Tag& tag, int color) override {
    std::vector<std::int32_t> colors(members_.size());
    const std::vector<std::int64_t> counts(members_.size(), sizeof color);
    const auto offsets = byte_offsets(counts, 1);
    all_gather(tag, std::as_bytes(std::span(&color, 1)), chunks(colors, offsets));
    std::vector<int> members;
    int place = 0;
    for (std::size_t other = 0; other < members_.size(); ++other)
      if (colors[other] == color) {
        if (static_cast<int>(other) == rank_) place = static_cast<int>(members.size());
        members.push_back(members_[other]);
      }
    // Groups of one split have different members, so their mailboxes may share a number.
    return std::make_unique<Simulated>(world_, place, std::move(members),
                                       call_hash({Collective::split, {"group", ++splits_, group_}}));
  }

 private:
  int member(int rank) const { return members_[index(rank)]; }
  int self() const { return member(rank_); }

  /// Returns the time at which this rank is through with it.
  double send(const std::shared_ptr<Exchange>& exchange, std::uint32_t channel, const Outgoing& message,
              double ready_s) {
    auto& clock = world_.clock();
    const int from = self(), to = member(message.to);
    const double handed_over_s = clock.work(from, ready_s, clock.link(clock.level(from, to)).message_overhead_s);
    auto letter = std::make_shared<Letter>(
        Letter{exchange->call, std::vector<std::byte>(message.bytes.begin(), message.bytes.end())});
    auto& box = world_.mailbox(group_, channel, from, to);
    world_.at(handed_over_s, [&world = world_, &box, exchange, letter, from, to, handed_over_s] {
      const auto transit = world.clock().depart(from, to, std::ssize(letter->bytes), handed_over_s);
      world.at(transit.left_s, [&world, exchange, transit] { world.end_message(exchange, transit.left_s); });
      world.at(transit.first_byte_s, [&world, &box, letter, from, to, transit] {
        letter->arrived_s = world.clock().arrive(to, transit);
        world.at(letter->arrived_s, [&world, &box, letter, from, to] {
          box.letters.push_back(std::move(*letter));
          match(world, box, from, to, box.letters.back().arrived_s);
        });
      });
    });
    return handed_over_s;
  }

  /// Gives letters to those who expect them, at now_s.
  static void match(World& world, Mailbox& box, int from, int to, double now_s) {
    while (!box.letters.empty() && !box.expected.empty()) {
      const Letter letter = std::move(box.letters.front());
      const Expected expected = std::move(box.expected.front());
      box.letters.pop_front();
      box.expected.pop_front();
      const auto& target = expected.message;
      if (expected.exchange->is_dropped) return;
      if (call_hash(letter.call) != call_hash(expected.exchange->call))
        return world.fail(from < to ? different_calls(from, letter.call, to, expected.exchange->call)
                                    : different_calls(to, expected.exchange->call, from, letter.call));
      if (target.any_size)
        *target.any_size = letter.bytes;
      else if (letter.bytes.size() != target.bytes.size())
        return world.fail(
            different_sizes(from, std::ssize(letter.bytes), to, std::ssize(target.bytes), letter.call.tag));
      else
        std::ranges::copy(letter.bytes, target.bytes.begin());
      auto& awaited = expected.exchange->awaited;
      awaited.erase(std::ranges::find(awaited, from));
      const double overhead_s = world.clock().link(world.clock().level(from, to)).message_overhead_s;
      world.end_message(expected.exchange, world.clock().work(to, std::max(now_s, letter.arrived_s), overhead_s));
    }
  }

  World& world_;
  const int rank_;
  const std::vector<int> members_;
  const std::uint64_t group_;
  std::vector<int> node_of_;
  std::uint32_t channel_ = 0;
  std::int64_t splits_ = 0;
};

}  // namespace

double run_simulated(int world_size, const std::function<void(SimulatedCommunicator&)>& body,
                     const SimulatedOptions& options) {
  World world(world_size, options);
  std::vector<int> all;
  for (int rank = 0; rank < world_size; ++rank) all.push_back(rank);
  return world.run(
      [&](int rank) {
        Simulated ranks(world, rank, all, 0);
        body(ranks);
      },
      options.stack_bytes);
}

}  // namespace swallowtail
