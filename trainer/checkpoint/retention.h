// Which checkpoints stay. Called by rank 0 alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>

namespace swallowtail {

/// Removes all but the newest `keep` checkpoints, the steps in `spared` (the best one), what an incremental one that
/// stays adds to, and those that another process is reading. A checkpoint leaves by a rename, so that none is ever
/// half there. Returns how many went. Errors: none; what cannot be removed is tried again the next time.
int retire_checkpoints(const std::filesystem::path& directory, std::int64_t keep, const std::set<std::int64_t>& spared);

/// Renames checkpoints after `step` to step-<n>.damaged: they were not good enough to resume from, and the run will
/// save those steps again.
void set_aside_newer(const std::filesystem::path& directory, std::int64_t step);

/// Removes what unfinished saves and removals of an earlier process left.
void remove_leftovers(const std::filesystem::path& directory);

}  // namespace swallowtail
