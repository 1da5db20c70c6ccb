// The bytes of a file, decompressed where its first bytes say gzip (1f 8b) or zstd (28 b5 2f fd), whatever its name.
// Streams in bounded memory (a zstd window of at most 128 MiB).
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace swallowtail {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Fills the front of `out` (not empty) and returns how many bytes; 0 at the end.
  /// Errors: ExitCode::data where the file cannot be read, or a compressed stream is damaged or truncated; they name
  /// the file and the byte of the file as it is stored.
  virtual std::size_t read(std::span<char> out) = 0;
};

/// Errors: ExitCode::data where the file is missing, a directory or not readable.
std::unique_ptr<ByteSource> open_bytes(const std::filesystem::path& path);

/// The bytes as they are stored, not decompressed.
std::unique_ptr<ByteSource> open_stored_bytes(const std::filesystem::path& path);

}  // namespace swallowtail
