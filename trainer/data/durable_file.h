// Files that are either there and complete or not there: written under a temporary name, synced, renamed, and their
// directory synced. Errors: ExitCode::resources with the path and the system's words.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/data/sha256.h"

namespace swallowtail {

class DurableFile {
 public:
  /// Opens `<path>.partial`, empty.
  explicit DurableFile(std::filesystem::path path);
  DurableFile(const DurableFile&) = delete;
  DurableFile& operator=(const DurableFile&) = delete;
  ~DurableFile();  // removes the partial file unless commit() was reached

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Flushes, syncs, renames, syncs the directory. Returns the SHA-256 of all that was written, in hex.
  std::string commit();
  std::int64_t size() const noexcept { return size_; }

 private:
  void flush();
  std::filesystem::path path_, partial_;
  int descriptor_ = -1;
  std::vector<std::byte> buffer_;
  std::int64_t size_ = 0;
  Sha256 digest_;
};

/// Removes a file (no error where it is absent) and syncs its directory.
void remove_durably(const std::filesystem::path& path);

}  // namespace swallowtail
