#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "parallel/error.h"
#include "trainer/checkpoint/block_file.h"
#include "trainer/files/crc32c.h"
#include "trainer/files/file_descriptor.h"
#include "trainer/files/sha256.h"

namespace swallowtail {

namespace {
constexpr std::int64_t kBlocksAhead = 4;
}

struct BlockReader::Impl {
  Impl(const std::filesystem::path& folder, BlockIndex of) : index(std::move(of)), path(folder / index.name) {
    std::error_code failed;
    // O_NONBLOCK: a pipe under this name must not hold the reader up.
    if (!std::filesystem::exists(std::filesystem::symlink_status(path, failed))) throw damaged("the file is missing");
    if (std::filesystem::is_symlink(path, failed)) throw damaged("the file is a link, which leads out of the folder");
    file = open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    struct stat status {};
    if (::fstat(file.number(), &status) != 0) throw_file_error("read the size of", path, errno);
    if (!S_ISREG(status.st_mode)) throw damaged("this is no regular file");
    if (status.st_size != index.bytes)
      throw damaged(fmt::format("the file has {} bytes where its manifest says {}", status.st_size, index.bytes));
    ::posix_fadvise(file.number(), 0, 0, POSIX_FADV_SEQUENTIAL);
    place.push_back(0);
    for (std::int64_t block = 0; block < index.blocks(); ++block)
      place.push_back(place.back() + (index.stored_bytes.empty()
                                          ? index.block_content(block)
                                          : index.stored_bytes[static_cast<std::size_t>(block)]));
  }

  Error damaged(std::string fact) const {
    return Error{ExitCode::damaged, std::move(fact), path.string(), "use an older checkpoint"};
  }

  /// The block as it lies on the disk, checked.
  void fetch(std::int64_t block, std::span<std::byte> out) {
    const auto b = static_cast<std::size_t>(block);
    // The disk brings the next blocks while this one is digested.
    const std::int64_t ahead = std::min(block + kBlocksAhead, index.blocks());
    ::posix_fadvise(file.number(), place[b + 1], place[static_cast<std::size_t>(ahead)] - place[b + 1],
                    POSIX_FADV_WILLNEED);
    if (!read_at(file, path, place[b], out)) throw damaged(fmt::format("the file ends within block {}", block));
    const std::uint32_t found = crc32c(out);
    if (found != index.crc32c[b])
      throw damaged(fmt::format("block {} of the file has CRC32C {:08x} where its manifest says {:08x}", block, found,
                                index.crc32c[b]));
  }

  std::int64_t stored(std::int64_t block) const {
    return place[static_cast<std::size_t>(block) + 1] - place[static_cast<std::size_t>(block)];
  }

  /// Block `block`, uncompressed, into `out` of exactly its size.
  void unpack(std::int64_t block, std::span<std::byte> out) {
    if (index.compression == Compression::none) return fetch(block, out);
    packed.resize(static_cast<std::size_t>(stored(block)));
    fetch(block, packed);
    const std::size_t size = ZSTD_decompress(out.data(), out.size(), packed.data(), packed.size());
    if (ZSTD_isError(size) != 0 || size != out.size())
      throw damaged(fmt::format("block {} of the file cannot be decompressed", block));
  }

  BlockIndex index;
  std::filesystem::path path;
  FileDescriptor file;
  std::vector<std::int64_t> place;  // [blocks + 1] on the disk
  std::int64_t kept_block = -1;     // the block that `kept` holds
  std::vector<std::byte> kept, packed;
};

BlockReader::BlockReader(const std::filesystem::path& folder, BlockIndex index)
    : impl_(std::make_unique<Impl>(folder, std::move(index))) {}
BlockReader::~BlockReader() = default;

const BlockIndex& BlockReader::index() const noexcept { return impl_->index; }

void BlockReader::read(std::int64_t from, std::span<std::byte> out) {
  Impl& self = *impl_;
  if (from < 0 || from + static_cast<std::int64_t>(out.size()) > self.index.content)
    throw self.damaged("a tensor lies outside the file");
  while (!out.empty()) {
    const std::int64_t block = from / kBlockBytes, within = from % kBlockBytes,
                       content = self.index.block_content(block);
    const auto part = static_cast<std::size_t>(std::min(content - within, static_cast<std::int64_t>(out.size())));
    if (static_cast<std::int64_t>(part) == content) {
      self.unpack(block, out.first(part));
    } else {
      if (self.kept_block != block) {
        self.kept_block = -1;
        self.kept.resize(static_cast<std::size_t>(content));
        self.unpack(block, self.kept);
        self.kept_block = block;
      }
      std::memcpy(out.data(), self.kept.data() + within, part);
    }
    from += static_cast<std::int64_t>(part);
    out = out.subspan(part);
  }
}

std::int64_t BlockReader::verify() {
  Impl& self = *impl_;
  Sha256 digest;
  std::vector<std::byte> block_bytes;
  for (std::int64_t block = 0; block < self.index.blocks(); ++block) {
    block_bytes.resize(static_cast<std::size_t>(self.stored(block)));
    self.fetch(block, block_bytes);
    digest.add(block_bytes);
  }
  const std::string found = digest.hex();
  if (found != self.index.sha256)
    throw self.damaged(fmt::format("the file's SHA-256 is {} where its manifest says {}", found, self.index.sha256));
  return self.index.bytes;
}

}  // namespace swallowtail
