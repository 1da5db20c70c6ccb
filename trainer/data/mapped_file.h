// A file mapped for reading.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace swallowtail {

class MappedFile {
 public:
  /// Errors: ExitCode::data where it cannot be opened or has another size than `bytes`.
  MappedFile(const std::filesystem::path& path, std::int64_t bytes);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();
  std::span<const std::byte> bytes() const noexcept { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace swallowtail
