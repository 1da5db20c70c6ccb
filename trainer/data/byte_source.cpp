#include "trainer/data/byte_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "parallel/error.h"

namespace swallowtail {
namespace {

constexpr std::size_t kInputBytes = 1 << 18;

class StoredFile final : public ByteSource {
 public:
  explicit StoredFile(std::filesystem::path path) : path_(std::move(path)) {
    descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe would block here
    if (descriptor_ < 0) throw failure("cannot open the file");
    struct stat status {};
    const bool is_known = ::fstat(descriptor_, &status) == 0;
    if (!is_known || !S_ISREG(status.st_mode)) {
      ::close(descriptor_);
      throw Error{ExitCode::data,
                  is_known && S_ISDIR(status.st_mode) ? "this is a directory, not a file" : "this is no regular file",
                  path_.string(), "name files, or a glob such as *.csv"};
    }
    ::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_SEQUENTIAL);
  }
  StoredFile(const StoredFile&) = delete;
  StoredFile& operator=(const StoredFile&) = delete;
  ~StoredFile() override { ::close(descriptor_); }

  std::size_t read(std::span<char> out) override {
    while (true) {
      const ssize_t got = ::read(descriptor_, out.data(), out.size());
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno != EINTR) throw failure("cannot read the file");
    }
  }

 private:
  Error failure(std::string_view what) const {
    return Error{ExitCode::data, fmt::format("{}: {}", what, std::strerror(errno)), path_.string(),
                 "check the path and its permissions"};
  }
  std::filesystem::path path_;
  int descriptor_;
};

/// Compressed input in pieces, and the place in the file.
class Input {
 public:
  Input(std::unique_ptr<ByteSource> file, std::filesystem::path path, std::vector<char> head)
      : file_(std::move(file)), path_(std::move(path)), bytes_(std::move(head)), end_(bytes_.size()) {
    bytes_.resize(kInputBytes);
  }
  /// What is not consumed yet; reads on where that is empty. Empty at the end of the file.
  std::span<const char> peek() {
    if (begin_ == end_) {
      begin_ = 0;
      end_ = file_->read(bytes_);
    }
    return std::span(bytes_).subspan(begin_, end_ - begin_);
  }
  void consume(std::size_t bytes) {
    begin_ += bytes;
    position_ += static_cast<std::int64_t>(bytes);
  }
  Error error(std::string_view what) const {
    return Error{ExitCode::data, std::string(what), fmt::format("{}: byte {}", path_.string(), position_),
                 "fetch or make the file again"};
  }

 private:
  std::unique_ptr<ByteSource> file_;
  std::filesystem::path path_;
  std::vector<char> bytes_;
  std::size_t begin_ = 0, end_;
  std::int64_t position_ = 0;
};

class GzipBytes final : public ByteSource {
 public:
  explicit GzipBytes(Input input) : input_(std::move(input)) {
    if (inflateInit2(&stream_, 16 + MAX_WBITS) != Z_OK) throw input_.error("cannot start to read gzip");
  }
  GzipBytes(const GzipBytes&) = delete;
  GzipBytes& operator=(const GzipBytes&) = delete;
  ~GzipBytes() override { inflateEnd(&stream_); }

  std::size_t read(std::span<char> out) override {
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(std::min(out.size(), kInputBytes));
    const uInt asked = stream_.avail_out;
    while (stream_.avail_out == asked) {
      const auto in = input_.peek();
      if (in.empty() && !within_member_) return 0;
      within_member_ = true;
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
      stream_.avail_in = static_cast<uInt>(in.size());
      const int result = inflate(&stream_, Z_NO_FLUSH);
      input_.consume(in.size() - stream_.avail_in);
      if (result == Z_STREAM_END) {  // a gzip file may hold several members one after another
        within_member_ = false;
        inflateReset(&stream_);
      } else if (in.empty() && stream_.avail_out == asked) {  // nothing was held back either
        throw input_.error("the gzip stream is truncated");
      } else if (result != Z_OK && result != Z_BUF_ERROR) {
        throw input_.error(
            fmt::format("the gzip stream is damaged ({})", stream_.msg ? stream_.msg : "no reason given"));
      }
    }
    return asked - stream_.avail_out;
  }

 private:
  Input input_;
  z_stream stream_{};
  bool within_member_ = true;
};

class ZstdBytes final : public ByteSource {
 public:
  explicit ZstdBytes(Input input) : input_(std::move(input)), stream_(ZSTD_createDStream()) {
    if (!stream_) throw std::bad_alloc();
  }

  std::size_t read(std::span<char> out) override {
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    while (output.pos == 0) {
      const auto in = input_.peek();
      // Without input a call still hands out what the decoder holds back.
      ZSTD_inBuffer chunk{in.data(), in.size(), 0};
      const std::size_t result = ZSTD_decompressStream(stream_.get(), &output, &chunk);
      if (ZSTD_isError(result))
        throw input_.error(fmt::format("the zstd stream is damaged ({})", ZSTD_getErrorName(result)));
      input_.consume(chunk.pos);
      if (in.empty() && output.pos == 0) {
        if (within_frame_) throw input_.error("the zstd stream is truncated");
        return 0;
      }
      if (!in.empty() || result == 0) within_frame_ = result != 0;
    }
    return output.pos;
  }

 private:
  struct Free {
    void operator()(ZSTD_DStream* stream) const noexcept { ZSTD_freeDStream(stream); }
  };
  Input input_;
  std::unique_ptr<ZSTD_DStream, Free> stream_;
  bool within_frame_ = true;
};

/// A plain file whose first bytes were read to look at its kind.
class PlainBytes final : public ByteSource {
 public:
  PlainBytes(std::unique_ptr<ByteSource> file, std::vector<char> head)
      : file_(std::move(file)), head_(std::move(head)) {}
  std::size_t read(std::span<char> out) override {
    if (given_ == head_.size()) return file_->read(out);
    const std::size_t count = std::min(out.size(), head_.size() - given_);
    std::copy_n(head_.begin() + static_cast<std::ptrdiff_t>(given_), count, out.begin());
    given_ += count;
    return count;
  }

 private:
  std::unique_ptr<ByteSource> file_;
  std::vector<char> head_;
  std::size_t given_ = 0;
};

}  // namespace

std::unique_ptr<ByteSource> open_stored_bytes(const std::filesystem::path& path) {
  return std::make_unique<StoredFile>(path);
}

std::unique_ptr<ByteSource> open_bytes(const std::filesystem::path& path) {
  auto file = open_stored_bytes(path);
  std::vector<char> head(4);
  std::size_t length = 0;
  while (length < head.size()) {
    const std::size_t got = file->read(std::span(head).subspan(length));
    if (got == 0) break;
    length += got;
  }
  head.resize(length);
  const std::string_view magic(head.data(), head.size());
  if (magic.starts_with("\x1f\x8b")) return std::make_unique<GzipBytes>(Input(std::move(file), path, std::move(head)));
  if (magic.starts_with("\x28\xb5\x2f\xfd"))
    return std::make_unique<ZstdBytes>(Input(std::move(file), path, std::move(head)));
  return std::make_unique<PlainBytes>(std::move(file), std::move(head));
}

}  // namespace swallowtail
