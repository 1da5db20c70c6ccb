// Files that are either there and complete or not there: written under a temporary name, synced, renamed, and their
// folder synced. After an error or a crash the path is what it was before. One writer a path. Errors:
// ExitCode::resources with the path and the system's words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/files/file_descriptor.h"
#include "trainer/files/sha256.h"

namespace swallowtail {

class DurableFile {
 public:
  /// Opens `<path>.partial`, empty.
  explicit DurableFile(std::filesystem::path path);
  DurableFile(const DurableFile&) = delete;
  DurableFile& operator=(const DurableFile&) = delete;
  ~DurableFile();  // removes the partial file unless commit() was reached

  /// Small pieces are gathered in a buffer of 1 MiB; larger ones go out as they lie, without a copy.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Flushes, syncs, renames, syncs the folder. Returns the SHA-256 of all that was written, in hex.
  std::string commit();
  std::int64_t size() const noexcept { return size_; }

 private:
  void put(std::span<const std::byte> bytes);
  void flush();

  std::filesystem::path path_, partial_;
  FileDescriptor file_;
  bool is_partial_ = true;
  std::vector<std::byte> buffer_;
  std::int64_t size_ = 0;
  Sha256 digest_;
};

/// Replaces `path` by a file that holds `text`.
void write_atomically(const std::filesystem::path& path, std::string_view text);

/// Removes a file (no error where it is absent) and syncs its folder.
void remove_durably(const std::filesystem::path& path);

/// Makes a folder, and those above it that are missing, to last. No error where it exists already.
void make_folder_durably(const std::filesystem::path& folder);

/// Makes what was created, renamed or removed in `folder` last.
void sync_folder(const std::filesystem::path& folder);

}  // namespace swallowtail
