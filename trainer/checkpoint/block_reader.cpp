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
#include "trainer/files/crc32c.h"
#include "trainer/files/file_descriptor.h"
#include "trainer/files/sha256.h"

namespace swallowtail {

namespace {

constexpr std::int64_t kBlocksAhead = 4;
constexpr std::int64_t kSector = 4096;  // direct I/O wants addresses, places and sizes that are multiples of it
// One request at a time leaves a disk idle while its answer is checked; these many are under way.
constexpr int kReaders = 3;

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

  /// The block as it lies on the disk, checked.
  void fetch(std::int64_t block, std::span<std::byte> out) {
    const auto b = static_cast<std::size_t>(block);
    if (!read_directly(place[b], out)) {
      // The disk brings the next blocks while this one is checked.
      const std::int64_t ahead = std::min(block + kBlocksAhead, index.blocks());
      ::posix_fadvise(file.number(), place[b + 1], place[static_cast<std::size_t>(ahead)] - place[b + 1],
                      POSIX_FADV_WILLNEED);
      if (!read_at(file, path, place[b], out)) throw damaged(fmt::format("the file ends within block {}", block));
    }
    const std::uint32_t found = crc32c(out);
    if (found != index.crc32c[b])
      throw damaged(fmt::format("block {} of the file has CRC32C {:08x} where its manifest says {:08x}", block, found,
                                index.crc32c[b]));
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
          fetch(block, {out + at, static_cast<std::size_t>(stored(block))});
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
    if (index.compression == Compression::none) return fetch(block, out);
    packed.resize(static_cast<std::size_t>(stored(block)));
    fetch(block, packed);
    const std::size_t size = ZSTD_decompress(out.data(), out.size(), packed.data(), packed.size());
    if (ZSTD_isError(size) != 0 || size != out.size())
      throw damaged(fmt::format("block {} of the file cannot be decompressed", block));
  }

  BlockIndex index;
  std::filesystem::path path;
  FileDescriptor file, direct;
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
    const std::int64_t whole_blocks = within == 0 && self.index.compression == Compression::none
                                          ? static_cast<std::int64_t>(out.size()) / kBlockBytes
                                          : 0;
    if (whole_blocks >= kReaders) {
      self.read_blocks(block, block + whole_blocks, out.data());
      from += whole_blocks * kBlockBytes;
      out = out.subspan(static_cast<std::size_t>(whole_blocks * kBlockBytes));
      continue;
    }
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

void BlockReader::forget() {
  impl_->kept_block = -1;
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
                       self.fetch(block, memory.first(size));
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
