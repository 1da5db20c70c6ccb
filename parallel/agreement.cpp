#include "parallel/agreement.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "kernels/random.h"

namespace swallowtail {

namespace {

constexpr std::array<std::string_view, 10> kCollectiveNames{
    "all_to_all", "exchange",       "all_reduce", "all_gather",       "broadcast",
    "barrier",    "reduce_scatter", "split",      "start_all_to_all", "start_all_reduce"};

constexpr std::string_view kSameCalls =
    "every rank must make the same calls in the same order: this is a defect of the program, report it with each "
    "rank's log.txt";

std::string side(int rank, const Call& call, bool with_detail) {
  auto text = fmt::format("rank {} is in {} of {}", rank, kCollectiveNames[static_cast<std::size_t>(call.collective)],
                          call_name(call.tag.operation, call.tag.step));
  if (with_detail) text += fmt::format(" with detail {:#x}, {:#x}", call.tag.detail, call.extra);
  return text;
}

}  // namespace

std::uint64_t call_hash(const Call& call) noexcept {
  return random::mix(random::bits(random::purpose(call.tag.operation), static_cast<std::uint64_t>(call.collective),
                                  static_cast<std::uint64_t>(call.tag.step), call.tag.detail) ^
                     call.extra);
}

std::uint64_t offsets_hash(std::span<const std::int64_t> offsets) noexcept {
  std::uint64_t hash = offsets.size();
  for (const auto offset : offsets) hash = random::mix(hash ^ static_cast<std::uint64_t>(offset)) + 1;
  return hash;
}

std::string call_name(std::string_view operation, std::int64_t step) {
  return fmt::format("{} (step {})", operation, step);
}

Error different_calls(int rank, const Call& call, int other_rank, const Call& other_call) {
  if (rank > other_rank) return different_calls(other_rank, other_call, rank, call);
  // The details are numbers that mean little to a reader: they are shown only where nothing else differs.
  const bool with_detail = call.collective == other_call.collective && call.tag.operation == other_call.tag.operation &&
                           call.tag.step == other_call.tag.step;
  return {ExitCode::rank,
          fmt::format("{} but {}", side(rank, call, with_detail), side(other_rank, other_call, with_detail)),
          fmt::format("ranks {} and {}", rank, other_rank), std::string(kSameCalls)};
}

Error different_sizes(int sender, std::int64_t sent_bytes, int receiver, std::int64_t expected_bytes, const Tag& tag) {
  return {ExitCode::rank,
          fmt::format("rank {} sends {} bytes where rank {} expects {} in {}", sender, sent_bytes, receiver,
                      expected_bytes, call_name(tag.operation, tag.step)),
          fmt::format("ranks {} and {}", sender, receiver), std::string(kSameCalls)};
}

Error different_lengths(int rank, std::int64_t bytes, int other_rank, std::int64_t other_bytes, const Tag& tag) {
  if (rank > other_rank) return different_lengths(other_rank, other_bytes, rank, bytes, tag);
  return {ExitCode::rank,
          fmt::format("rank {} brings {} bytes and rank {} brings {} to {}", rank, bytes, other_rank, other_bytes,
                      call_name(tag.operation, tag.step)),
          fmt::format("ranks {} and {}", rank, other_rank), std::string(kSameCalls)};
}

void check_own_part(int world_rank, int rank, std::span<const std::int64_t> offsets, std::int64_t size,
                    std::int64_t out_size, const Tag& tag) {
  const auto part = offsets[static_cast<std::size_t>(rank) + 1] - offsets[static_cast<std::size_t>(rank)];
  constexpr std::int64_t kBytes = sizeof(float);
  if (out_size != part) throw different_sizes(world_rank, part * kBytes, world_rank, out_size * kBytes, tag);
  if (offsets.back() != size)
    throw different_sizes(world_rank, size * kBytes, world_rank, offsets.back() * kBytes, tag);
}

void check_messages(int world_rank, int rank, std::span<const Outgoing> outgoing, std::span<const Incoming> incoming,
                    const Tag& tag) {
  const auto sent = std::ranges::find(outgoing, rank, &Outgoing::to);
  const auto expected = std::ranges::find(incoming, rank, &Incoming::from);
  const bool is_sent = sent != outgoing.end(), is_expected = expected != incoming.end();
  if (is_sent != is_expected)
    throw Error{ExitCode::rank,
                fmt::format("rank {} {} itself a message that it does not {} in {}", world_rank,
                            is_sent ? "sends" : "expects from", is_sent ? "expect" : "send",
                            call_name(tag.operation, tag.step)),
                fmt::format("rank {}", world_rank), "this is a defect of the program, report it"};
  if (is_sent && !expected->any_size && sent->bytes.size() != expected->bytes.size())
    throw different_sizes(world_rank, std::ssize(sent->bytes), world_rank, std::ssize(expected->bytes), tag);
}

}  // namespace swallowtail
