// The laws of calls that return at once, and of groups, tried on the backend that is given; beside communicator_laws.h.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "parallel/communicator.h"
#include "tests/multirank/communicator_laws.h"
#include "tests/multirank/payload.h"

namespace swallowtail {

/// Run by every rank; gathers the laws that this rank found broken.
class PendingLaws {
 public:
  explicit PendingLaws(Communicator& ranks) : ranks_(ranks), self_(ranks.rank()), world_size_(ranks.world_size()) {}

  void check(std::uint64_t seeds) {
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
      check_messages(seed);
      check_rounds(seed);
      check_collectives(seed);
    }
    check_machines();
  }

  /// Groups of several kinds, each under all laws, `depth` levels of groups within groups.
  void check_groups(std::uint64_t seeds, int depth) {
    const auto machine = ranks_.node_of()[static_cast<std::size_t>(self_)];
    check_group("all", 0, seeds, depth);
    check_group("alone", self_, seeds, depth);
    check_group("parity", self_ % 2, seeds, depth);
    check_group("last apart", self_ == world_size_ - 1 ? 7 : 3, seeds, depth);
    check_group("machine", machine, seeds, depth);
  }

  const std::vector<std::string>& broken() const { return broken_; }

 private:
  void expect(bool holds, const std::string& law) {
    if (!holds) broken_.push_back(law);
  }

  /// By test() or by wait(), whichever the key says.
  static void finish(Pending& pending, std::uint64_t key) {
    if (key % 2 == 0) return pending.wait();
    while (!pending.test()) std::this_thread::yield();
    pending.wait();  // allowed, and nothing more happens
  }

  /// One message, or none, from each rank to each, itself included; some receivers do not know the size.
  void check_messages(std::uint64_t seed) {
    const auto key = [&](int from, int to) {
      return random::bits(seed, 21, static_cast<std::uint64_t>(from), static_cast<std::uint64_t>(to));
    };
    const auto is_sent = [&](int from, int to) { return key(from, to) % 3 != 0; };
    std::vector<std::vector<std::byte>> sent(size()), received(size());
    std::vector<Outgoing> outgoing;
    std::vector<Incoming> incoming;
    for (int other = 0; other < world_size_; ++other) {
      if (is_sent(self_, other)) {
        auto& bytes = sent[index(other)];
        bytes.resize(static_cast<std::size_t>(payload_bytes(seed, self_, other)));
        fill_payload(bytes, seed, self_, other);
        outgoing.push_back({other, bytes});
      }
      if (is_sent(other, self_)) {
        auto& bytes = received[index(other)];
        const bool knows_size = key(other, self_) % 4 != 1;
        bytes.assign(knows_size ? static_cast<std::size_t>(payload_bytes(seed, other, self_)) : seed % 50,
                     std::byte{0xEE});
        incoming.push_back(knows_size ? Incoming{other, bytes} : Incoming{other, {}, &bytes});
      }
    }
    if (!incoming.empty())
      std::rotate(incoming.begin(), incoming.begin() + static_cast<std::ptrdiff_t>(seed % incoming.size()),
                  incoming.end());
    const auto call = ranks_.start_messages({"check messages", static_cast<std::int64_t>(seed)}, ranks_.open_channel(),
                                            outgoing, incoming);
    finish(*call, key(self_, 99));
    for (int from = 0; from < world_size_; ++from) {
      if (!is_sent(from, self_)) continue;
      const auto& bytes = received[index(from)];
      expect(std::ssize(bytes) == payload_bytes(seed, from, self_) && is_payload(bytes, seed, from, self_),
             fmt::format("messages deliver that of rank {}, seed {}", from, seed));
    }
  }

  /// An algorithm of several rounds on a channel of its own.
  struct Exchange {
    std::uint32_t channel = 0;
    std::uint64_t seed = 0;
    int round = 0;
    std::vector<std::byte> send{}, recv{};
    std::unique_ptr<Pending> pending{};
  };

  void start_round(Exchange& exchange) {
    const auto seed = exchange.seed + static_cast<std::uint64_t>(exchange.round);
    const int to = (self_ + exchange.round) % world_size_;
    const int from = (self_ + exchange.round * (world_size_ - 1)) % world_size_;
    exchange.send.resize(static_cast<std::size_t>(payload_bytes(seed, self_, to)));
    fill_payload(exchange.send, seed, self_, to);
    exchange.recv.assign(static_cast<std::size_t>(payload_bytes(seed, from, self_)), std::byte{0xEE});
    const Outgoing outgoing{to, exchange.send};
    const bool knows_size = seed % 3 != 0;
    const Incoming incoming{from, exchange.recv, knows_size ? nullptr : &exchange.recv};
    // The same tag for all: only the channel keeps the exchanges apart.
    exchange.pending = ranks_.start_messages({"check rounds"}, exchange.channel, {&outgoing, 1}, {&incoming, 1});
  }

  void end_round(Exchange& exchange) {
    const auto seed = exchange.seed + static_cast<std::uint64_t>(exchange.round);
    const int from = (self_ + exchange.round * (world_size_ - 1)) % world_size_;
    expect(
        std::ssize(exchange.recv) == payload_bytes(seed, from, self_) && is_payload(exchange.recv, seed, from, self_),
        fmt::format("round {} delivers rank {}, seed {}", exchange.round, from, exchange.seed));
    ++exchange.round;
  }

  /// Several exchanges at once, each rank driving them in an order of its own, so that one rank is rounds ahead in one
  /// exchange and behind in another.
  void check_rounds(std::uint64_t seed) {
    const int rounds = world_size_ + 2;
    std::vector<Exchange> exchanges(3);
    for (std::size_t i = 0; i < exchanges.size(); ++i) {
      exchanges[i].channel = ranks_.open_channel();
      exchanges[i].seed = 1000 * seed + 100 * i;
    }
    for (auto& exchange : exchanges) start_round(exchange);
    for (std::uint64_t turn = 0;; ++turn) {
      std::vector<Exchange*> open;
      for (auto& exchange : exchanges)
        if (exchange.round < rounds) open.push_back(&exchange);
      if (open.empty()) break;
      auto& chosen = *open[random::bits(seed, 31, static_cast<std::uint64_t>(self_), turn) % open.size()];
      if (!chosen.pending->test()) {
        std::this_thread::yield();
        continue;
      }
      end_round(chosen);
      if (chosen.round < rounds) start_round(chosen);
    }
  }

  /// Everything pending at once, other calls meanwhile, and the pending ones ended in any order.
  void check_collectives(std::uint64_t seed) {
    std::vector<std::int64_t> send_counts, recv_counts;
    for (int other = 0; other < world_size_; ++other) {
      send_counts.push_back(payload_bytes(seed, self_, other));
      recv_counts.push_back(payload_bytes(seed, other, self_));
    }
    const int next = (self_ + 1) % world_size_, last = (self_ + world_size_ - 1) % world_size_;
    ChunkBuffer send(send_counts), recv(recv_counts), again(recv_counts), late({payload_bytes(seed, last, self_)});
    for (int to = 0; to < world_size_; ++to) fill_payload(send.chunks()[to], seed, self_, to);
    std::vector<float> values(seed % 4 == 0 ? 0 : 7 * seed), more(11, static_cast<float>(self_));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>((self_ + 1) * (i % 97));
    const Outgoing outgoing{next, send.chunks()[next]};
    const Incoming incoming{last, late.bytes};

    const auto step = static_cast<std::int64_t>(seed);
    std::vector<std::unique_ptr<Pending>> calls;
    calls.push_back(ranks_.start_all_to_all({"check pending", step}, send.const_chunks(), recv.chunks()));
    calls.push_back(ranks_.start_all_reduce_sum({"check pending sum", step}, values));
    calls.push_back(ranks_.start_messages({"check late", step}, ranks_.open_channel(), {&outgoing, 1}, {&incoming, 1}));
    calls.push_back(ranks_.start_all_reduce_sum({"check pending sum", step}, more));
    for (std::uint64_t i = 0; i < 3; ++i) calls[(seed + static_cast<std::uint64_t>(self_) + i) % 4]->test();
    ranks_.all_to_all({"check meanwhile", step}, send.const_chunks(), again.chunks());
    std::int64_t largest = self_;
    ranks_.all_reduce_max({"check meanwhile", step}, {&largest, 1});
    ranks_.barrier({"check meanwhile", step});
    for (std::uint64_t i = 0; i < calls.size(); ++i)
      finish(*calls[(seed + i) % calls.size()], random::bits(seed, 41, static_cast<std::uint64_t>(self_), i));

    for (int from = 0; from < world_size_; ++from) {
      expect(is_payload(recv.chunks()[from], seed, from, self_),
             fmt::format("start_all_to_all delivers rank {}, seed {}", from, seed));
      expect(is_payload(again.chunks()[from], seed, from, self_),
             fmt::format("all_to_all beside pending calls delivers rank {}, seed {}", from, seed));
    }
    expect(is_payload(late.bytes, seed, last, self_), fmt::format("a pending message of rank {}, seed {}", last, seed));
    expect(largest == world_size_ - 1, fmt::format("maximum beside pending calls, seed {}", seed));
    const auto triangle = static_cast<std::size_t>(world_size_ * (world_size_ + 1) / 2);
    for (std::size_t i = 0; i < values.size(); ++i)
      expect(values[i] == static_cast<float>(triangle * (i % 97)),
             fmt::format("pending sum of place {}, seed {}", i, seed));
    for (const auto value : more)
      expect(value == static_cast<float>(triangle) - static_cast<float>(world_size_),
             fmt::format("second pending sum, seed {}", seed));
  }

  void check_machines() {
    const auto nodes = ranks_.node_of();
    const std::vector<int> seen(nodes.begin(), nodes.end());
    expect(std::ssize(seen) == world_size_ && seen == numbered_in_order(seen), "machines are numbered in order");
    expect(ranks_.node_local_ranks() == std::ranges::count(seen, seen[index(self_)]), "ranks of this machine");
    std::vector<std::int64_t> words(seen.begin(), seen.end());
    ranks_.broadcast({"check machines"}, 0, std::as_writable_bytes(std::span(words)));
    expect(std::ranges::equal(words, seen), "every rank counts the machines alike");
  }

  void check_group(const std::string& name, int color, std::uint64_t seeds, int depth) {
    // A message of the whole is under way while the parts are busy.
    const int next = (self_ + 1) % world_size_, last = (self_ + world_size_ - 1) % world_size_;
    int word = self_, heard = -1;
    const Outgoing outgoing{next, std::as_bytes(std::span(&word, 1))};
    const Incoming incoming{last, std::as_writable_bytes(std::span(&heard, 1))};
    const auto whole = ranks_.start_messages({"check whole"}, ranks_.open_channel(), {&outgoing, 1}, {&incoming, 1});

    std::vector<int> colors(size());
    ChunkBuffer all(std::vector<std::int64_t>(size(), sizeof(int)));
    ranks_.all_gather({"check colours"}, std::as_bytes(std::span(&color, 1)),
                      {std::as_writable_bytes(std::span(colors)), all.offsets});
    const auto group = ranks_.split({"check split"}, color);
    std::vector<int> members;
    for (int rank = 0; rank < world_size_; ++rank)
      if (colors[index(rank)] == color) members.push_back(rank);
    const auto place = std::ranges::find(members, self_) - members.begin();
    expect(group->world_size() == std::ssize(members) && group->rank() == place, "the ranks of group " + name);
    std::vector<int> found(members.size());
    const auto offsets = byte_offsets(std::vector<std::int64_t>(members.size(), sizeof(int)), 1);
    group->all_gather({"check members"}, std::as_bytes(std::span(&self_, 1)),
                      {std::as_writable_bytes(std::span(found)), offsets});
    expect(found == members, "the order of group " + name);
    for (std::size_t i = 0; i < members.size(); ++i)
      for (std::size_t j = 0; j < members.size(); ++j)
        expect((group->node_of()[i] == group->node_of()[j]) ==
                   (ranks_.node_of()[index(members[i])] == ranks_.node_of()[index(members[j])]),
               "the machines of group " + name);

    CommunicatorLaws laws(*group);
    laws.check(seeds);
    PendingLaws pending(*group);
    pending.check(seeds);
    if (depth > 1) pending.check_groups(1, depth - 1);
    for (const auto& law : laws.broken()) expect(false, name + ": " + law);
    for (const auto& law : pending.broken()) expect(false, name + ": " + law);
    whole->wait();
    expect(heard == last, "a message of the whole while group " + name + " is busy");
  }

  static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }
  std::size_t size() const { return static_cast<std::size_t>(world_size_); }

  Communicator& ranks_;
  const int self_, world_size_;
  std::vector<std::string> broken_;
};

}  // namespace swallowtail
