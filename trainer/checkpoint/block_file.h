// A file that is written once, front to back, in blocks of 4 MiB: each with a CRC-32C, the whole with a SHA-256. The
// check sums stand in the checkpoint's manifest, so the file holds the bytes alone. FORMAT.md describes it for readers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace swallowtail {

inline constexpr std::int64_t kBlockBytes = std::int64_t{4} << 20;

enum class Compression : std::uint8_t { none, zstd };

/// What a manifest says of a file.
struct BlockIndex {
  std::string name;          // within the checkpoint's folder
  std::int64_t bytes = 0;    // as it lies on the disk
  std::int64_t content = 0;  // uncompressed
  std::string sha256;        // of the bytes on the disk
  Compression compression = Compression::none;
  std::vector<std::uint32_t> crc32c;       // of each block as it lies on the disk
  std::vector<std::int64_t> stored_bytes;  // of each block; empty without compression

  std::int64_t blocks() const noexcept { return (content + kBlockBytes - 1) / kBlockBytes; }
  /// Bytes of block `block`, uncompressed.
  std::int64_t block_content(std::int64_t block) const noexcept {
    return std::min(kBlockBytes, content - block * kBlockBytes);
  }
};

nlohmann::json to_json(const BlockIndex& index);
/// Errors: damaged, at `where`, for a name that leads out of the folder and for numbers that contradict each other.
BlockIndex block_index_from_json(const nlohmann::json& json, const std::filesystem::path& where);

/// Letters, digits, '.', '_' and '-', no leading dot, at most 200: a name that stays in its folder on any system.
bool is_plain_name(std::string_view name) noexcept;

class BlockWriter {
 public:
  /// Creates `path`, which must not exist. Direct I/O where the file system allows it: a checkpoint as large as memory
  /// would push everything else out of the page cache. Holds three blocks. Errors: resources.
  BlockWriter(const std::filesystem::path& path, Compression compression);
  ~BlockWriter();
  /// `bytes` stay as they are until finish() or the end of this object: whole blocks are written from where they lie.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Zeros up to a multiple of `boundary`.
  void align(std::int64_t boundary);
  std::int64_t content() const noexcept;
  /// Writes what is left, syncs and closes. Errors: resources.
  BlockIndex finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class BlockReader {
 public:
  /// Opens folder / index.name. Errors: damaged where it is missing, no regular file, or of another size.
  BlockReader(const std::filesystem::path& folder, BlockIndex index);
  ~BlockReader();
  /// Uncompressed bytes [from, from + out.size()); every block that is touched is read whole and its CRC-32C checked.
  /// Whole blocks go straight to `out`; beside it at most 3 MiB are held, of which half a block stays for what is read
  /// next to it (with compression: two blocks, of which one stays). Errors: damaged, naming file, block, expected and
  /// found.
  void read(std::int64_t from, std::span<std::byte> out);
  /// Gives up what it holds.
  void forget();
  class Stream;
  /// Reads all of it and checks the SHA-256 as well. Returns the bytes read. Errors: damaged.
  std::int64_t verify();
  const BlockIndex& index() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Bytes of a file from front to back, a MiB at a time (with compression a block), for who has no room for more.
class BlockReader::Stream {
 public:
  /// Of uncompressed bytes [from, from + bytes). `reader` outlives it. Errors: damaged where they lie outside the file.
  Stream(BlockReader& reader, std::int64_t from, std::int64_t bytes);
  ~Stream();
  /// The next out.size() bytes. What is given may turn out damaged by the end of its block: by the last call, which
  /// reads on to there. Errors: as for read().
  void next(std::span<std::byte> out);

 private:
  struct Piece;
  std::unique_ptr<Piece> piece_;
};

}  // namespace swallowtail
