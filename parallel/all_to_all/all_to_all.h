// The all-to-all algorithms by name. Each delivers the same bytes; they differ in the number and size of messages.
// A new one is one file beside this and one line in all_to_all.cpp.
#pragma once

#include <span>
#include <string_view>

#include "parallel/communicator.h"

namespace swallowtail {

struct AllToAllEntry {
  std::string_view name;
  std::string_view meaning;  // one line for --help and the reference page
  void (*function)(Communicator& ranks, const Tag& tag, ConstChunks send, Chunks recv);
};

/// All algorithms, sorted by name.
std::span<const AllToAllEntry> all_to_all_algorithms() noexcept;

/// Null where there is none of that name: the configuration answers with the nearest one.
const AllToAllEntry* find_all_to_all(std::string_view name) noexcept;

/// Communicator::all_to_all by the named algorithm. Where it is made of exchanges, the ranks first compare tag and
/// algorithm in one barrier, so that ranks that chose differently get an error and not a hang.
/// Errors: those of Communicator; Error (ExitCode::usage) for an unknown name.
void all_to_all(std::string_view algorithm, Communicator& ranks, const Tag& tag, ConstChunks send, Chunks recv);

/// Pairwise exchange, pairwise.cpp.
void all_to_all_pairwise(Communicator& ranks, const Tag& tag, ConstChunks send, Chunks recv);

}  // namespace swallowtail
