#include "trainer/training/trace.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <set>

#include "kernels/random.h"
#include "parallel/activity.h"
#include "trainer/files/durable_file.h"

namespace swallowtail {

namespace {

constexpr std::size_t kRounds = 5;  // of the barrier: one that the system delays must not shift a machine's time

struct ClockReading {
  std::uint64_t clock = 0;  // equal where CLOCK_MONOTONIC is the same
  std::array<std::int64_t, kRounds> after_barrier_ns{};
};

/// Of this start of this kernel; CLOCK_MONOTONIC counts from it.
std::uint64_t clock_identity() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string text;
  if (!std::getline(file, text)) {
    std::array<char, 256> host{};
    gethostname(host.data(), host.size() - 1);
    text = host.data();
  }
  return random::purpose(text);
}

/// This machine's reading of the instant that is zero on all.
std::int64_t common_zero(Communicator& ranks) {
  ClockReading mine{.clock = clock_identity()};
  for (auto& reading : mine.after_barrier_ns) {
    ranks.barrier(Tag{"trace clock", 0});
    reading = monotonic_ns();
  }
  std::vector<ClockReading> all(static_cast<std::size_t>(ranks.world_size()));
  const auto offsets = byte_offsets(std::vector<std::int64_t>(all.size(), 1), sizeof(ClockReading));
  ranks.all_gather(Tag{"trace clock", 0}, std::as_bytes(std::span(&mine, 1)),
                   {std::as_writable_bytes(std::span(all)), offsets});
  const auto first_out = [&](std::uint64_t clock, std::size_t round) {
    std::int64_t first = INT64_MAX;
    for (const ClockReading& one : all)
      if (one.clock == clock) first = std::min(first, one.after_barrier_ns[round]);
    return first;
  };
  std::array<std::int64_t, kRounds> ahead{};  // of the clock of rank 0
  for (std::size_t round = 0; round < kRounds; ++round)
    ahead[round] = first_out(mine.clock, round) - first_out(all[0].clock, round);
  std::ranges::sort(ahead);
  return first_out(all[0].clock, 0) + ahead[kRounds / 2];
}

/// chunk r of the result is what rank r sent; empty on ranks other than 0.
template <typename T>
std::vector<std::vector<T>> gather_to_root(Communicator& ranks, const Tag& tag, std::span<const T> mine) {
  const auto world_size = static_cast<std::size_t>(ranks.world_size());
  std::vector<std::int64_t> counts(world_size);
  const std::int64_t here = std::ssize(mine);
  const auto each = byte_offsets(std::vector<std::int64_t>(world_size, 1), sizeof(here));
  ranks.all_gather(tag, std::as_bytes(std::span(&here, 1)), {std::as_writable_bytes(std::span(counts)), each});
  std::vector<std::int64_t> sent(world_size, 0);
  sent[0] = here;
  if (ranks.rank() != 0) counts.assign(world_size, 0);
  const auto send_offsets = byte_offsets(sent, sizeof(T)), recv_offsets = byte_offsets(counts, sizeof(T));
  std::vector<T> received(static_cast<std::size_t>(recv_offsets.back()) / sizeof(T));
  ranks.all_to_all(tag, {std::as_bytes(mine), send_offsets},
                   {std::as_writable_bytes(std::span(received)), recv_offsets});
  std::vector<std::vector<T>> parts;
  auto from = received.begin();
  for (const std::int64_t count : counts) {
    parts.emplace_back(from, from + count);
    from += count;
  }
  return parts;
}

}  // namespace

Trace::Trace(std::int64_t steps, Communicator& ranks) : steps_left_(steps), zero_ns_(common_zero(ranks)) {}

void Trace::begin_step(std::int64_t step) noexcept {
  if (step == step_) return;
  step_ = step;
  --steps_left_;
}

void Trace::add(std::int64_t lane, std::int64_t begin_ns, std::int64_t end_ns) {
  if (step_ >= 0 && steps_left_ >= 0) events_.push_back({begin_ns, end_ns, step_, lane});
}

void Trace::write(const std::filesystem::path& path, std::span<const std::string_view> lane_names,
                  Communicator& ranks) const {
  const auto zeros = gather_to_root(ranks, Tag{"trace", 0}, std::span(&zero_ns_, 1));
  const auto events = gather_to_root(ranks, Tag{"trace", 0}, std::span(events_));
  if (ranks.rank() != 0) return;
  std::vector<std::int64_t> zero_ns;
  for (const auto& zero : zeros) zero_ns.push_back(zero[0]);
  write_atomically(path, trace_json(events, zero_ns, lane_names));
}

std::string trace_json(std::span<const std::vector<TraceEvent>> events, std::span<const std::int64_t> zero_ns,
                       std::span<const std::string_view> lane_names) {
  fmt::memory_buffer text;
  const auto out = std::back_inserter(text);
  const char* separator = "\n";
  const auto name = [&](std::string_view what, std::size_t rank, std::int64_t lane, std::string_view value) {
    fmt::format_to(out, R"({}{{"name":"{}","ph":"M","pid":{},"tid":{},"args":{{"name":"{}"}}}})", separator, what, rank,
                   lane, value);
    separator = ",\n";
  };
  const auto sort_index = [&](std::string_view what, std::size_t rank, std::int64_t lane, std::int64_t place) {
    fmt::format_to(out, R"({}{{"name":"{}","ph":"M","pid":{},"tid":{},"args":{{"sort_index":{}}}}})", separator, what,
                   rank, lane, place);
    separator = ",\n";
  };
  fmt::format_to(out, R"({{"displayTimeUnit":"ms","traceEvents":[)");
  for (std::size_t rank = 0; rank < events.size(); ++rank) {
    std::vector<TraceEvent> in_order = events[rank];
    std::ranges::stable_sort(in_order, {}, &TraceEvent::begin_ns);
    std::set<std::int64_t> lanes;
    for (const TraceEvent& event : in_order) lanes.insert(event.lane);
    name("process_name", rank, 0, fmt::format("rank {}", rank));
    sort_index("process_sort_index", rank, 0, static_cast<std::int64_t>(rank));
    for (const std::int64_t lane : lanes) {
      name("thread_name", rank, lane, lane_names[static_cast<std::size_t>(lane)]);
      sort_index("thread_sort_index", rank, lane, lane);
    }
    for (const TraceEvent& event : in_order)
      fmt::format_to(out,
                     R"({}{{"name":"{}","ph":"X","ts":{:.3f},"dur":{:.3f},"pid":{},"tid":{},"args":{{"step":{}}}}})",
                     separator, lane_names[static_cast<std::size_t>(event.lane)],
                     static_cast<double>(event.begin_ns - zero_ns[rank]) * 1e-3,
                     static_cast<double>(event.end_ns - event.begin_ns) * 1e-3, rank, event.lane, event.step);
  }
  fmt::format_to(out, "\n]}}\n");
  return fmt::to_string(text);
}

}  // namespace swallowtail
