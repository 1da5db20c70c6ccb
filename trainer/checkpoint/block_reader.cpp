#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>

#include "parallel/error.h"
#include "trainer/checkpoint/block_file.h"
#include "trainer/checkpoint/blocks_ahead.h"
#include "trainer/checkpoint/sector_memory.h"
#include "trainer/files/crc32c.h"
#include "trainer/files/file_descriptor.h"
#include "trainer/files/sha256.h"

namespace swallowtail {

namespace {

constexpr std::int64_t kBlocksAhead = 4;
// One request at a time leaves a disk idle while its answer is checked; these many are under way.
constexpr int kReaders = 3;
constexpr std::int64_t kPieceBytes = kBlockBytes / 4;  // what a stream holds
constexpr std::int64_t kKeptBytes = kBlockBytes / 2;   // of a block that holds many small tensors

}  // namespace

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
    // Past the page cache where the file system can do that: a checkpoint as large as memory is read once.
    direct = FileDescriptor(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_DIRECT));
    place.push_back(0);
    for (std::int64_t block = 0; block < index.blocks(); ++block)
      place.push_back(place.back() + (index.stored_bytes.empty()
                                          ? index.block_content(block)
                                          : index.stored_bytes[static_cast<std::size_t>(block)]));
  }

  Error damaged(std::string fact) const {
    return Error{ExitCode::damaged, std::move(fact), path.string(), "use an older checkpoint"};
  }

  void check_range(std::int64_t from, std::int64_t bytes) const {
    if (from < 0 || bytes < 0 || bytes > index.content || from > index.content - bytes)
      throw damaged("a tensor lies outside the file");
  }

  /// Part of a block as it lies on the disk, from byte `within` of it.
  void fetch(std::int64_t block, std::int64_t within, std::span<std::byte> out) const {
    const std::int64_t from = place[static_cast<std::size_t>(block)] + within;
    if (read_directly(from, out)) return;
    // The disk brings the next blocks while this one is checked.
    const auto after = static_cast<std::size_t>(block) + 1;
    const auto ahead = static_cast<std::size_t>(std::min(block + kBlocksAhead, index.blocks()));
    if (within == 0) ::posix_fadvise(file.number(), place[after], place[ahead] - place[after], POSIX_FADV_WILLNEED);
    if (!read_at(file, path, from, out)) throw damaged(fmt::format("the file ends within block {}", block));
  }

  void check(std::int64_t block, std::uint32_t found) const {
    const std::uint32_t wanted = index.crc32c[static_cast<std::size_t>(block)];
    if (found != wanted)
      throw damaged(
          fmt::format("block {} of the file has CRC32C {:08x} where its manifest says {:08x}", block, found, wanted));
  }

  /// The block as it lies on the disk, checked.
  void fetch_whole(std::int64_t block, std::span<std::byte> out) const {
    fetch(block, 0, out);
    check(block, crc32c(out));
  }

  /// False where that is not possible here, or fails: the usual way then does it, or says why not.
  bool read_directly(std::int64_t from, std::span<std::byte> out) const {
    if (!direct.is_open() || from % kSector != 0 || static_cast<std::int64_t>(out.size()) % kSector != 0) return false;
    const auto past = static_cast<std::size_t>(reinterpret_cast<std::uintptr_t>(out.data()) % kSector);
    if (past == 0) return ::pread(direct.number(), out.data(), out.size(), from) == static_cast<ssize_t>(out.size());
    // Memory that is not aligned: all but the last sector goes to the first aligned place in it and is moved down, so
    // that one large request does, and no second block is held.
    alignas(kSector) std::array<std::byte, kSector> last;
    const std::size_t rest = out.size() - kSector;
    std::byte* const aligned = out.data() + (kSector - past);
    const std::array<iovec, 2> parts{{{aligned, rest}, {last.data(), last.size()}}};
    if (::preadv(direct.number(), parts.data(), 2, from) != static_cast<ssize_t>(out.size())) return false;
    std::memmove(out.data(), aligned, rest);
    std::memcpy(out.data() + rest, last.data(), last.size());
    return true;
  }

  /// Whole uncompressed blocks [first, end), several at once, into `out`. Errors: the first block's by their order.
  void read_blocks(std::int64_t first, std::int64_t end, std::byte* out) {
    std::atomic<std::int64_t> next{first};
    std::mutex mutex;
    std::int64_t failed_block = end;
    std::exception_ptr failure;
    const auto work = [&] {
      for (std::int64_t block = next++; block < end; block = next++) try {
          const std::int64_t at = place[static_cast<std::size_t>(block)] - place[static_cast<std::size_t>(first)];
          fetch_whole(block, {out + at, static_cast<std::size_t>(stored(block))});
        } catch (...) {
          const std::scoped_lock lock(mutex);
          if (block < failed_block) {
            failed_block = block;
            failure = std::current_exception();
          }
          next = end;
        }
    };
    std::array<std::thread, kReaders - 1> others;
    for (std::thread& other : others) other = std::thread(work);
    work();
    for (std::thread& other : others) other.join();
    if (failure) std::rethrow_exception(failure);
  }

  std::int64_t stored(std::int64_t block) const {
    return place[static_cast<std::size_t>(block) + 1] - place[static_cast<std::size_t>(block)];
  }

  /// Block `block`, uncompressed, into `out` of exactly its size.
  void unpack(std::int64_t block, std::span<std::byte> out) {
    if (index.compression == Compression::none) return fetch_whole(block, out);
    packed.resize(static_cast<std::size_t>(stored(block)));
    fetch_whole(block, packed);
    const std::size_t size = ZSTD_decompress(out.data(), out.size(), packed.data(), packed.size());
    if (ZSTD_isError(size) != 0 || size != out.size())
      throw damaged(fmt::format("block {} of the file cannot be decompressed", block));
  }

  BlockIndex index;
  std::filesystem::path path;
  FileDescriptor file, direct;
  std::vector<std::int64_t> place;  // [blocks + 1] on the disk
  std::int64_t kept_from = 0;       // of the content, the first byte that `kept` holds
  std::vector<std::byte> kept, packed;
};

BlockReader::BlockReader(const std::filesystem::path& folder, BlockIndex index)
    : impl_(std::make_unique<Impl>(folder, std::move(index))) {}
BlockReader::~BlockReader() = default;

const BlockIndex& BlockReader::index() const noexcept { return impl_->index; }

struct BlockReader::Stream::Piece {
  Piece(BlockReader& of, std::int64_t from, std::int64_t bytes)
      : reader(*of.impl_),
        next(from),
        end(from + bytes),
        memory(static_cast<std::size_t>(reader.index.compression == Compression::none ? kPieceBytes : kBlockBytes)),
        piece_end(from / kBlockBytes * kBlockBytes) {
    reader.check_range(from, bytes);
  }

  /// The piece after the one that is held; the last one of a block checks the block.
  void bring() {
    const std::int64_t block = piece_end / kBlockBytes, within = piece_end % kBlockBytes,
                       content = reader.index.block_content(block);
    piece_begin = piece_end;
    if (reader.index.compression != Compression::none) {
      reader.unpack(block, memory.first(static_cast<std::size_t>(content)));
      piece_end += content;
      return;
    }
    const std::span part = memory.first(static_cast<std::size_t>(std::min(kPieceBytes, content - within)));
    reader.fetch(block, within, part);
    sum = crc32c(part, within == 0 ? 0 : sum);
    piece_end += static_cast<std::int64_t>(part.size());
    if (within + static_cast<std::int64_t>(part.size()) == content) reader.check(block, sum);
  }

  bool is_within_block() const noexcept { return piece_end % kBlockBytes != 0 && piece_end < reader.index.content; }

  Impl& reader;
  std::int64_t next, end;  // of the content: what comes, and where the stream ends
  SectorMemory memory;
  std::int64_t piece_begin = 0, piece_end;  // of the content: what `memory` holds
  std::uint32_t sum = 0;                    // of the block up to piece_end
};

BlockReader::Stream::Stream(BlockReader& reader, std::int64_t from, std::int64_t bytes)
    : piece_(std::make_unique<Piece>(reader, from, bytes)) {}
BlockReader::Stream::~Stream() = default;

void BlockReader::Stream::next(std::span<std::byte> out) {
  Piece& self = *piece_;
  if (static_cast<std::int64_t>(out.size()) > self.end - self.next)
    throw self.reader.damaged("more is read of a tensor than it holds");
  while (!out.empty()) {
    while (self.piece_end <= self.next) self.bring();
    const auto part =
        static_cast<std::size_t>(std::min(self.piece_end - self.next, static_cast<std::int64_t>(out.size())));
    std::memcpy(out.data(), self.memory.data() + (self.next - self.piece_begin), part);
    self.next += static_cast<std::int64_t>(part);
    out = out.subspan(part);
    if (self.next == self.end)
      while (self.is_within_block()) self.bring();
  }
}

void BlockReader::read(std::int64_t from, std::span<std::byte> out) {
  Impl& self = *impl_;
  self.check_range(from, static_cast<std::int64_t>(out.size()));
  while (!out.empty()) {
    const std::int64_t block = from / kBlockBytes, within = from % kBlockBytes,
                       content = self.index.block_content(block), size = static_cast<std::int64_t>(out.size());
    const bool is_packed = self.index.compression != Compression::none;
    std::int64_t part = std::min(content - within, size);
    if (const std::int64_t kept = from - self.kept_from;
        kept >= 0 && kept < static_cast<std::int64_t>(self.kept.size())) {
      part = std::min(part, static_cast<std::int64_t>(self.kept.size()) - kept);
      std::memcpy(out.data(), self.kept.data() + kept, static_cast<std::size_t>(part));
    } else if (within == 0 && !is_packed && size / kBlockBytes >= kReaders) {
      part = size / kBlockBytes * kBlockBytes;
      self.read_blocks(block, block + size / kBlockBytes, out.data());
    } else if (part == content) {
      self.unpack(block, out.first(static_cast<std::size_t>(part)));
    } else if (!is_packed && part >= kPieceBytes) {
      Stream(*this, from, part).next(out.first(static_cast<std::size_t>(part)));
    } else {
      // What is asked for next lies most often beside it.
      const std::int64_t at_once = is_packed ? kBlockBytes : kKeptBytes, first = within / at_once * at_once;
      std::vector<std::byte>().swap(self.kept);
      std::vector<std::byte> half(static_cast<std::size_t>(std::min(at_once, content - first)));
      if (is_packed)
        self.unpack(block, half);
      else
        Stream(*this, block * kBlockBytes + first, static_cast<std::int64_t>(half.size())).next(half);
      self.kept = std::move(half);
      self.kept_from = block * kBlockBytes + first;
      continue;
    }
    from += part;
    out = out.subspan(static_cast<std::size_t>(part));
  }
}

void BlockReader::forget() {
  impl_->kept = {};
  impl_->packed = {};
}

std::int64_t BlockReader::verify() {
  Impl& self = *impl_;
  const bool is_packed = self.index.compression == Compression::zstd;
  BlocksAhead blocks(self.index.blocks(),
                     is_packed ? ZSTD_compressBound(kBlockBytes) : static_cast<std::size_t>(kBlockBytes),
                     [&](std::int64_t block, std::span<std::byte> memory) {
                       const auto size = static_cast<std::size_t>(self.stored(block));
                       self.fetch_whole(block, memory.first(size));
                       return size;
                     });
  Sha256 digest;
  for (std::int64_t block = 0; block < self.index.blocks(); ++block) digest.add(blocks.next());
  const std::string found = digest.hex();
  if (found != self.index.sha256)
    throw self.damaged(fmt::format("the file's SHA-256 is {} where its manifest says {}", found, self.index.sha256));
  return self.index.bytes;
}

}  // namespace swallowtail
