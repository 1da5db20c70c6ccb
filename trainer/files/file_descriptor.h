// An open file that closes itself, and the words for a failed system call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <utility>

namespace swallowtail {

class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int number) noexcept : number_(number) {}
  FileDescriptor(FileDescriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~FileDescriptor();

  int number() const noexcept { return number_; }
  bool is_open() const noexcept { return number_ >= 0; }
  /// close(2), whose error is the last news of a network file system. Errors: resources, naming `path`.
  void close(const std::filesystem::path& path);

 private:
  int number_ = -1;
};

/// open(2) with O_CLOEXEC. Errors: resources.
FileDescriptor open_file(const std::filesystem::path& path, int flags);

/// Writes all of `bytes`; `path` names the file in an error. Errors: resources.
void write_all(const FileDescriptor& file, const std::filesystem::path& path, std::span<const std::byte> bytes);

/// Reads exactly `out` from byte `from` on. Errors: resources where the system fails; false where the file ends before.
bool read_at(const FileDescriptor& file, const std::filesystem::path& path, std::int64_t from,
             std::span<std::byte> out);

/// fdatasync(2): the bytes, and what is needed to find them, are on the disk. Errors: resources.
void sync_data(const FileDescriptor& file, const std::filesystem::path& path);

/// Throws Error{resources}: "cannot `verb`: <text of error_number>", at the path, with what to do about that error.
[[noreturn]] void throw_file_error(const char* verb, const std::filesystem::path& path, int error_number);

}  // namespace swallowtail
