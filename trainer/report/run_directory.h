// The folder of a run: made, replaced or opened again, and held by one process at a time. An existing run is never
// overwritten by accident. Called by rank 0 alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "trainer/files/file_descriptor.h"

namespace swallowtail {

enum class RunMode : std::uint8_t {
  create,   // a new run; the folder must not exist, or be empty
  replace,  // --force: a new run; an older run in the folder is removed
  resume,   // --resume: go on with the run in the folder
};

/// Holds the run's lock (flock on run.lock) until it is destroyed or the process ends, however it ends.
class RunDirectory {
 public:
  /// Errors: usage where the folder holds a run and the mode is create, holds none and the mode is resume, holds
  /// anything that is not a run, or is in use by another process (which is left alone); resources where the system
  /// refuses. `replace` removes only a folder that a run made: one with experiment.yaml and run.lock.
  static RunDirectory open(const std::filesystem::path& path, RunMode mode);

  const std::filesystem::path& path() const noexcept { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  /// False where the file system has no locks (some parallel ones): then nothing keeps a second run out. Warn.
  bool is_locked() const noexcept { return is_locked_; }

 private:
  RunDirectory(std::filesystem::path path, FileDescriptor lock, bool is_locked)
      : path_(std::move(path)), lock_(std::move(lock)), is_locked_(is_locked) {}

  std::filesystem::path path_;
  FileDescriptor lock_;
  bool is_locked_ = false;
};

}  // namespace swallowtail
