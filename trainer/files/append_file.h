// A file that grows by whole records: after a full disk or another error, it ends with the last whole one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "trainer/files/file_descriptor.h"

namespace swallowtail {

class AppendFile {
 public:
  /// Opens or creates it. One writer a file. Errors: resources.
  explicit AppendFile(std::filesystem::path path);
  /// One write(2) where the system takes the record at once. Errors: resources; nothing of the record is left then.
  void append(std::string_view record);
  /// What was appended is on the disk. Errors: resources.
  void sync() { sync_data(file_, path_); }
  /// Cuts the file to its first `bytes` bytes. Errors: resources.
  void truncate(std::int64_t bytes);
  std::int64_t size() const noexcept { return size_; }
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
  FileDescriptor file_;
  std::int64_t size_ = 0;
};

}  // namespace swallowtail
