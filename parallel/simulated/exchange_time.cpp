#include "parallel/simulated/exchange_time.h"

#include <algorithm>

#include "parallel/simulated/network_clock.h"

namespace swallowtail {

namespace {

std::size_t index(int i) { return static_cast<std::size_t>(i); }

}  // namespace

ExchangeTime::ExchangeTime(MakeSchedule make, std::span<const int> node_of, bool walks_all) : topology_(node_of) {
  walked_ranks_ =
      topology_.has_equal_blocks() && !walks_all ? static_cast<int>(topology_.ranks(0).size()) : topology_.world_size();
  walk(make, [](int, int) { return std::int64_t{1}; });
}

ExchangeTime::ExchangeTime(MakeSchedule make, std::span<const int> node_of, const Sizes& bytes)
    : topology_(node_of), walked_ranks_(topology_.world_size()) {
  walk(make, bytes);
}

void ExchangeTime::walk(MakeSchedule make, const Sizes& bytes) {
  Round round;
  for (int rank = 0; rank < walked_ranks_; ++rank) {
    const auto schedule = make(rank, topology_);
    for (std::size_t number = 0; schedule->next(round); ++number) {
      if (number == rounds_.size()) rounds_.emplace_back();
      for (const auto& message : round.sends) {
        const auto blocks = round.of(message);
        Packet packet{rank, message.peer, message.peer % walked_ranks_, 0, 0, 0};
        if (!is_plain(blocks, rank, message.peer)) packet.sizes_bytes = kSizeBytes * static_cast<int>(blocks.size());
        for (const auto& block : blocks) {
          const auto size = bytes(block.source, block.destination);
          packet.payload += size;
          if (block.destination == message.peer) packet.final += size;
        }
        rounds_[number].push_back(packet);
      }
    }
  }
}

double ExchangeTime::seconds(const NetworkDescription& network, std::int64_t bytes_a_chunk) const {
  NetworkClock clock(network, topology_);
  std::vector<double> ready_s(index(walked_ranks_), 0);
  double end_s = 0;
  for (const auto& packets : rounds_) end_s = round_seconds(packets, bytes_a_chunk, clock, ready_s);
  return end_s;
}

/// Moves ready_s, the time at which each rank begins its round, to the round's end; returns the last of them.
double ExchangeTime::round_seconds(const std::vector<Packet>& packets, std::int64_t scale, NetworkClock& clock,
                                   std::vector<double>& ready_s) const {
  const auto& network = clock.network();
  const auto copy_s = [&](std::int64_t units) {
    return static_cast<double>(units * scale) / network.copy_bandwidth_bytes_per_s;
  };
  // A rank packs all messages of the round, then sends one after another. Ranks without a message skip the round.
  std::vector<double> pack_s(ready_s.size(), 0);
  std::vector<bool> takes_part(ready_s.size(), false);
  for (const auto& packet : packets) {
    if (packet.sizes_bytes > 0) pack_s[index(packet.from)] += copy_s(packet.payload);
    takes_part[index(packet.from)] = takes_part[index(packet.receiver)] = true;
  }
  auto end_s = ready_s;
  for (std::size_t rank = 0; rank < ready_s.size(); ++rank)
    if (takes_part[rank])
      end_s[rank] = clock.work(static_cast<int>(rank), ready_s[rank], network.round_overhead_s + pack_s[rank]);

  struct Event {
    double at_s;
    std::size_t packet;
    NetworkClock::Transit transit;
  };
  std::vector<Event> events(packets.size());
  const auto in_order_of_time = [&] { std::ranges::stable_sort(events, {}, &Event::at_s); };
  for (std::size_t i = 0; i < packets.size(); ++i) {
    const auto& packet = packets[i];
    const double overhead_s = clock.link(clock.level(packet.from, packet.to)).message_overhead_s;
    events[i] = {clock.work(packet.from, end_s[index(packet.from)], overhead_s), i, {}};
  }
  in_order_of_time();
  for (auto& event : events) {
    const auto& packet = packets[event.packet];
    event.transit = clock.depart(packet.from, packet.to, packet.payload * scale + packet.sizes_bytes, event.at_s);
    auto& end = end_s[index(packet.from)];
    end = std::max(end, event.transit.left_s);
    event.at_s = event.transit.first_byte_s;
  }
  in_order_of_time();
  for (auto& event : events) event.at_s = clock.arrive(packets[event.packet].receiver, event.transit);
  in_order_of_time();
  for (const auto& event : events) {
    const auto& packet = packets[event.packet];
    const double unpack_s = packet.sizes_bytes > 0 ? copy_s(packet.final) : 0;
    auto& end = end_s[index(packet.receiver)];
    end = std::max(
        end, clock.work(packet.receiver, event.at_s, clock.link(event.transit.level).message_overhead_s + unpack_s));
  }
  ready_s = end_s;
  return *std::ranges::max_element(ready_s);
}

std::int64_t ExchangeTime::bytes_sent(std::int64_t bytes_a_chunk) const {
  std::int64_t bytes = 0;
  for (const auto& packets : rounds_)
    for (const auto& packet : packets)
      if (packet.from == 0) bytes += packet.payload * bytes_a_chunk + packet.sizes_bytes;
  return bytes;
}

std::int64_t ExchangeTime::messages_sent() const {
  std::int64_t messages = 0;
  for (const auto& packets : rounds_) messages += std::ranges::count(packets, 0, &Packet::from);
  return messages;
}

}  // namespace swallowtail
