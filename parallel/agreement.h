// Whether the ranks are in the same call. Backends compare `call_hash` before they move data, so that ranks that went
// different ways get an error with both sides' names instead of a hang or wrong numbers.
#pragma once

#include <cstdint>
#include <string>

#include "parallel/communicator.h"
#include "parallel/error.h"

namespace swallowtail {

enum class Collective : std::uint8_t {
  all_to_all,
  exchange,  // messages
  all_reduce,
  all_gather,
  broadcast,
  barrier,
  reduce_scatter,
  split,
  start_all_to_all,
  start_all_reduce
};

/// `extra` is what the call itself adds to the tag: the root of a broadcast, the element type and operator of a
/// reduction.
struct Call {
  Collective collective;
  Tag tag;
  std::uint64_t extra = 0;
};

/// 64 bits of collective, operation, step, detail and extra; equal for equal calls, on every machine.
std::uint64_t call_hash(const Call& call) noexcept;

/// What all ranks must give alike to a reduce_scatter, as the `extra` of its Call.
std::uint64_t offsets_hash(std::span<const std::int64_t> offsets) noexcept;

/// "pooled (step 812)".
std::string call_name(std::string_view operation, std::int64_t step);

/// The error of two ranks that are in different calls; the lower rank comes first.
Error different_calls(int rank, const Call& call, int other_rank, const Call& other_call);

/// The error of a sender and a receiver that count differently.
Error different_sizes(int sender, std::int64_t sent_bytes, int receiver, std::int64_t expected_bytes, const Tag& tag);

/// The same for calls where both give the same span (reductions, broadcast, barrier).
Error different_lengths(int rank, std::int64_t bytes, int other_rank, std::int64_t other_bytes, const Tag& tag);

/// Throws where `out_size` is not this rank's part of a reduce_scatter, or the offsets do not end at `size` (elements).
void check_own_part(int world_rank, int rank, std::span<const std::int64_t> offsets, std::int64_t size,
                    std::int64_t out_size, const Tag& tag);

/// Throws where a message to the rank itself lacks an end or its ends differ in size.
void check_messages(int world_rank, int rank, std::span<const Outgoing> outgoing, std::span<const Incoming> incoming,
                    const Tag& tag);

}  // namespace swallowtail
