#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "parallel/error.h"
#include "trainer/checkpoint/block_file.h"
#include "trainer/checkpoint/sector_memory.h"
#include "trainer/files/crc32c.h"
#include "trainer/files/file_descriptor.h"
#include "trainer/files/sha256.h"

namespace swallowtail {
namespace {

constexpr std::size_t kBuffers = 3;  // one is filled, one waits, one is being written

/// A block on its way to the disk.
struct Buffer {
  SectorMemory bytes;
  std::size_t size = 0;

  explicit Buffer(std::size_t capacity) : bytes(capacity) {}
  std::span<const std::byte> content() const { return bytes.first(size); }
};

/// What waits for the disk: a buffer of ours, or memory of the caller's.
struct Block {
  std::span<const std::byte> bytes;
  std::unique_ptr<Buffer> owner;
};

/// Returns whether the file is written directly now.
bool set_direct(const FileDescriptor& file, bool is_direct) {
  const int flags = ::fcntl(file.number(), F_GETFL);
  return ::fcntl(file.number(), F_SETFL, is_direct ? flags | O_DIRECT : flags & ~O_DIRECT) == 0 && is_direct;
}

}  // namespace

struct BlockWriter::Impl {
  Impl(const std::filesystem::path& to, Compression with)
      : path(to), file(open_file(path, O_WRONLY | O_CREAT | O_EXCL)) {
    index.name = path.filename().string();
    index.compression = with;
    const std::size_t largest = with == Compression::zstd ? ZSTD_compressBound(kBlockBytes) : kBlockBytes;
    if (with == Compression::zstd) raw = std::make_unique<Buffer>(kBlockBytes);
    filling = std::make_unique<Buffer>(largest);
    for (std::size_t i = 1; i < kBuffers; ++i) spare.push_back(std::make_unique<Buffer>(largest));
  }
  ~Impl() { stop(); }

  /// The block that is being gathered: compressed, it goes out through `filling`.
  Buffer& gathered() { return raw ? *raw : *filling; }

  void write_to_disk(std::span<const std::byte> rest) {
    const bool is_direct = tries_direct && rest.size() % kSector == 0;
    if (is_direct != direct) direct = set_direct(file, is_direct);
    while (!rest.empty()) {
      const auto written = ::write(file.number(), rest.data(), rest.size());
      if (written >= 0) {
        rest = rest.subspan(static_cast<std::size_t>(written));
      } else if (errno == EINVAL && direct) {
        // Some stacked and network file systems take the flag and refuse the write; so does any, after a short one.
        direct = tries_direct = false;
        set_direct(file, false);
      } else if (errno != EINTR) {
        throw_file_error("write", path, errno);
      }
    }
  }

  void run() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return is_over || !waiting.empty(); });
      if (waiting.empty()) return;
      Block block = std::move(waiting.front());
      waiting.pop_front();
      if (!failure) {
        lock.unlock();
        std::exception_ptr caught;
        try {
          write_to_disk(block.bytes);
        } catch (...) {
          caught = std::current_exception();
        }
        lock.lock();
        failure = caught;
      }
      if (block.owner) spare.push_back(std::move(block.owner));
      changed.notify_all();
    }
  }

  void stop() noexcept {
    if (!worker.joinable()) return;
    {
      const std::scoped_lock lock(mutex);
      is_over = true;
    }
    changed.notify_all();
    worker.join();
  }

  /// The gathered block goes out. A file of one block needs no thread.
  void put(bool is_last) {
    Buffer& block = gathered();
    index.content += static_cast<std::int64_t>(block.size);
    if (raw) {
      const std::size_t stored =
          ZSTD_compress(filling->bytes.data(), filling->bytes.size(), block.bytes.data(), block.size, kLevel);
      if (ZSTD_isError(stored) != 0)
        throw Error{ExitCode::resources, fmt::format("cannot compress: {}", ZSTD_getErrorName(stored)), path.string(),
                    "set checkpoint.compression: none"};
      filling->size = stored;
      index.stored_bytes.push_back(static_cast<std::int64_t>(stored));
      block.size = 0;
    }
    index.bytes += static_cast<std::int64_t>(filling->size);
    if (is_last && !worker.joinable()) {
      digest_of(filling->content());
      write_to_disk(filling->content());
      filling->size = 0;
      return;
    }
    digest_of(
        filling->content());  // before it is handed over, so that a slow disk and the digest overlap across blocks
    std::unique_lock lock(mutex);
    const auto content = filling->content();
    hand_over({content, std::move(filling)});
    changed.wait(lock, [&] { return !spare.empty(); });
    filling = std::move(spare.front());
    spare.pop_front();
    filling->size = 0;
    if (failure) std::rethrow_exception(failure);
  }

  /// Requires the lock.
  void hand_over(Block block) {
    if (!worker.joinable()) worker = std::thread([this] { run(); });
    if (failure) std::rethrow_exception(failure);
    waiting.push_back(std::move(block));
    changed.notify_all();
  }

  /// A whole block that the caller keeps until the end: written from where it lies, and digested meanwhile.
  void put_borrowed(std::span<const std::byte> block) {
    index.content += kBlockBytes;
    index.bytes += kBlockBytes;
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return waiting.size() < kBuffers; });
      hand_over({block, nullptr});
    }
    digest_of(block);
  }

  void digest_of(std::span<const std::byte> block) {
    index.crc32c.push_back(crc32c(block));
    digest.add(block);
  }

  static constexpr int kLevel = 1;  // weights are noise in their low bits: higher levels cost time and gain nothing

  std::filesystem::path path;
  FileDescriptor file;
  bool tries_direct = true, direct = false;
  BlockIndex index;
  Sha256 digest;
  std::unique_ptr<Buffer> filling, raw;

  std::mutex mutex;  // of what follows
  std::condition_variable changed;
  std::deque<std::unique_ptr<Buffer>> spare;
  std::deque<Block> waiting;
  std::exception_ptr failure;
  bool is_over = false;
  std::thread worker;
};

BlockWriter::BlockWriter(const std::filesystem::path& path, Compression compression)
    : impl_(std::make_unique<Impl>(path, compression)) {}
BlockWriter::~BlockWriter() = default;

std::int64_t BlockWriter::content() const noexcept {
  return impl_->index.content + static_cast<std::int64_t>(impl_->gathered().size);
}

void BlockWriter::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    Buffer& block = impl_->gathered();
    if (block.size == 0 && !impl_->raw && bytes.size() >= static_cast<std::size_t>(kBlockBytes) &&
        reinterpret_cast<std::uintptr_t>(bytes.data()) % kSector == 0) {
      impl_->put_borrowed(bytes.first(static_cast<std::size_t>(kBlockBytes)));
      bytes = bytes.subspan(static_cast<std::size_t>(kBlockBytes));
      continue;
    }
    const std::size_t part = std::min(bytes.size(), static_cast<std::size_t>(kBlockBytes) - block.size);
    std::memcpy(block.bytes.data() + block.size, bytes.data(), part);
    block.size += part;
    bytes = bytes.subspan(part);
    if (block.size == static_cast<std::size_t>(kBlockBytes)) impl_->put(false);
  }
}

void BlockWriter::align(std::int64_t boundary) {
  static constexpr std::array<std::byte, kSector> kZeros{};
  for (std::int64_t missing = (boundary - content() % boundary) % boundary; missing > 0;) {
    const std::int64_t part = std::min<std::int64_t>(missing, kZeros.size());
    write(std::span(kZeros).first(static_cast<std::size_t>(part)));
    missing -= part;
  }
}

BlockIndex BlockWriter::finish() {
  if (impl_->gathered().size > 0) impl_->put(true);
  impl_->stop();
  if (impl_->failure) std::rethrow_exception(impl_->failure);
  sync_data(impl_->file, impl_->path);
  impl_->file.close(impl_->path);
  impl_->index.sha256 = impl_->digest.hex();
  return std::move(impl_->index);
}

}  // namespace swallowtail
