#include "trainer/data/durable_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "parallel/error.h"

namespace swallowtail {
namespace {

constexpr std::size_t kBufferBytes = 1 << 20;

Error system_error(std::string_view action, const std::filesystem::path& path) {
  const int code = errno;
  return Error{ExitCode::resources, fmt::format("cannot {}: {}", action, std::strerror(code)), path.string(),
               "check the directory's permission and the free space"};
}

void sync_directory(const std::filesystem::path& directory) {
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw system_error("open the directory", directory);
  const int result = ::fsync(descriptor);
  // Some network file systems know no sync of directories; there the rename is all that can be had.
  const bool failed = result != 0 && errno != EINVAL && errno != ENOTSUP;
  const Error error = failed ? system_error("sync the directory", directory) : Error{ExitCode::done, ""};
  ::close(descriptor);
  if (failed) throw error;
}

std::filesystem::path directory_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

}  // namespace

DurableFile::DurableFile(std::filesystem::path path) : path_(std::move(path)), partial_(path_.string() + ".partial") {
  descriptor_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw system_error("create", partial_);
  buffer_.reserve(kBufferBytes);
}

DurableFile::~DurableFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(partial_.c_str());
}

void DurableFile::write(std::span<const std::byte> bytes) {
  if (buffer_.size() + bytes.size() > kBufferBytes) flush();
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

void DurableFile::flush() {
  digest_.add(buffer_);
  for (std::size_t done = 0; done < buffer_.size();) {
    const ssize_t written = ::write(descriptor_, buffer_.data() + done, buffer_.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw system_error("write", partial_);
    done += static_cast<std::size_t>(written);
  }
  size_ += static_cast<std::int64_t>(buffer_.size());
  buffer_.clear();
}

std::string DurableFile::commit() {
  flush();
  if (::fsync(descriptor_) != 0) throw system_error("sync", partial_);
  const int descriptor = descriptor_;
  descriptor_ = -1;
  if (::close(descriptor) != 0 || ::rename(partial_.c_str(), path_.c_str()) != 0) {
    const Error error = system_error("rename", partial_);
    ::unlink(partial_.c_str());
    throw error;
  }
  sync_directory(directory_of(path_));
  return digest_.hex();
}

void remove_durably(const std::filesystem::path& path) {
  if (::unlink(path.c_str()) == 0) return sync_directory(directory_of(path));
  if (errno != ENOENT) throw system_error("remove", path);
}

}  // namespace swallowtail
