#include "parallel/all_to_all/all_to_all.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "parallel/error.h"

namespace swallowtail {

namespace {

void all_to_all_library(Communicator& ranks, const Tag& tag, ConstChunks send, Chunks recv) {
  ranks.all_to_all(tag, send, recv);
}

constexpr std::array kAlgorithms{
    AllToAllEntry{"library", "what the MPI library chooses (MPI_Alltoallv)", all_to_all_library},
    AllToAllEntry{"pairwise", "one partner a step, each byte sent once; for large chunks", all_to_all_pairwise},
};

}  // namespace

std::span<const AllToAllEntry> all_to_all_algorithms() noexcept { return kAlgorithms; }

const AllToAllEntry* find_all_to_all(std::string_view name) noexcept {
  const auto found = std::ranges::find(kAlgorithms, name, &AllToAllEntry::name);
  return found == kAlgorithms.end() ? nullptr : &*found;
}

void all_to_all(std::string_view algorithm, Communicator& ranks, const Tag& tag, ConstChunks send, Chunks recv) {
  const auto* const entry = find_all_to_all(algorithm);
  if (!entry) throw Error{ExitCode::usage, fmt::format("unknown all_to_all algorithm '{}'", algorithm)};
  entry->function(ranks, tag, send, recv);
}

}  // namespace swallowtail
