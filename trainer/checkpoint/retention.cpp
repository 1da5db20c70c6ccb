#include "trainer/checkpoint/retention.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cstdio>
#include <string>
#include <system_error>
#include <vector>

#include "parallel/error.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/files/durable_file.h"

namespace swallowtail {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kRemoved = ".removed";

/// What step `step` adds to; nothing for a full one and for one that cannot be read.
std::optional<std::int64_t> base_of(const fs::path& directory, std::int64_t step) {
  try {
    return Checkpoint::open(directory, step).manifest().base_step;
  } catch (const Error&) {
    return {};
  }
}

/// True when no reader holds the checkpoint; the lock that says so is dropped with `lock`.
bool is_unread(const fs::path& folder, FileDescriptor& lock) {
  try {
    lock = open_file(folder / kManifestName, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (const Error&) {
    return true;  // no manifest: no reader gets further than this either
  }
  return ::flock(lock.number(), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

bool remove_checkpoint(const fs::path& folder) {
  FileDescriptor lock;
  if (!is_unread(folder, lock)) return false;
  std::error_code failed;
  const fs::path removed = folder.string() + std::string(kRemoved);
  fs::remove_all(removed, failed);
  fs::rename(folder, removed, failed);
  if (failed) return false;
  fs::remove_all(removed, failed);
  return true;
}

}  // namespace

int retire_checkpoints(const fs::path& directory, std::int64_t keep, const std::set<std::int64_t>& spared) {
  const std::vector<std::int64_t> steps = checkpoint_steps(directory);
  std::set<std::int64_t> stays = spared;
  std::int64_t kept = 0;
  for (auto step = steps.rbegin(); step != steps.rend() && kept < keep; ++step)
    if (stays.insert(*step).second) ++kept;
  const std::set<std::int64_t> named = stays;
  for (const std::int64_t step : named)
    if (const auto base = base_of(directory, step)) stays.insert(*base);
  int removed = 0;
  for (const std::int64_t step : steps)
    if (!stays.contains(step)) removed += remove_checkpoint(checkpoint_folder(directory, step)) ? 1 : 0;
  if (removed > 0) {
    try {
      sync_folder(directory);
    } catch (const Error&) {  // after a crash they are back, and go the next time
    }
  }
  return removed;
}

void set_aside_newer(const fs::path& directory, std::int64_t step) {
  for (const std::int64_t newer : checkpoint_steps(directory)) {
    if (newer <= step) continue;
    std::error_code failed;
    const fs::path folder = checkpoint_folder(directory, newer), aside = folder.string() + ".damaged";
    fs::remove_all(aside, failed);
    fs::rename(folder, aside, failed);
    if (failed) throw_file_error("rename", folder, failed.value());
  }
}

void remove_leftovers(const fs::path& directory) {
  std::error_code failed;
  std::vector<fs::path> found;
  for (fs::directory_iterator entry(directory, failed), end; !failed && entry != end; entry.increment(failed)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with("step-") && (name.ends_with(".partial") || name.ends_with(kRemoved)))
      found.push_back(entry->path());
  }
  for (const fs::path& path : found) fs::remove_all(path, failed);
}

}  // namespace swallowtail
