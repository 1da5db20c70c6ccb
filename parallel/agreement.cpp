#include "parallel/agreement.h"

#include <fmt/format.h>

#include <array>

#include "kernels/random.h"

namespace swallowtail {

namespace {

constexpr std::array<std::string_view, 6> kCollectiveNames{"all_to_all", "exchange",  "all_reduce",
                                                           "all_gather", "broadcast", "barrier"};

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

std::string call_name(std::string_view operation, std::int64_t step) {
  return fmt::format("{} (step {})", operation, step);
}

Error different_calls(int rank, const Call& call, int other_rank, const Call& other_call) {
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
  return {ExitCode::rank,
          fmt::format("rank {} brings {} bytes and rank {} brings {} to {}", rank, bytes, other_rank, other_bytes,
                      call_name(tag.operation, tag.step)),
          fmt::format("ranks {} and {}", rank, other_rank), std::string(kSameCalls)};
}

}  // namespace swallowtail
