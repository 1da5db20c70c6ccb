#include "trainer/files/file_descriptor.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "parallel/error.h"

namespace swallowtail {
namespace {

std::string advice_for(int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      return "free space on that disk, or set run.dir to another one";
    case EFBIG:
      return "raise the limit on file size (ulimit -f)";
    case EACCES:
    case EPERM:
    case EROFS:
      return "set run.dir to a folder that you may write";
    case ENOTDIR:
    case EEXIST:
      return "a file stands where a folder is needed; move it, or set run.dir to another folder";
    default:
      return "check the disk and run.dir";
  }
}

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (number_ >= 0) ::close(number_);
}

void FileDescriptor::close(const std::filesystem::path& path) {
  // After EINTR the descriptor is gone on Linux; what was synced before is safe.
  if (::close(std::exchange(number_, -1)) != 0 && errno != EINTR) throw_file_error("close", path, errno);
}

FileDescriptor open_file(const std::filesystem::path& path, int flags) {
  int number = -1;
  do {
    number = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  } while (number < 0 && errno == EINTR);
  if (number < 0) throw_file_error("open", path, errno);
  return FileDescriptor(number);
}

void write_all(const FileDescriptor& file, const std::filesystem::path& path, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto written = ::write(file.number(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_file_error("write", path, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

bool read_at(const FileDescriptor& file, const std::filesystem::path& path, std::int64_t from,
             std::span<std::byte> out) {
  while (!out.empty()) {
    const auto got = ::pread(file.number(), out.data(), out.size(), from);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_file_error("read", path, errno);
    if (got == 0) return false;
    from += got;
    out = out.subspan(static_cast<std::size_t>(got));
  }
  return true;
}

void sync_data(const FileDescriptor& file, const std::filesystem::path& path) {
  while (::fdatasync(file.number()) != 0)
    if (errno != EINTR) throw_file_error("sync", path, errno);
}

void throw_file_error(const char* verb, const std::filesystem::path& path, int error_number) {
  throw Error{ExitCode::resources, std::string("cannot ") + verb + ": " + std::generic_category().message(error_number),
              path.string(), advice_for(error_number)};
}

}  // namespace swallowtail
