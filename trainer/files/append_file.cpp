#include "trainer/files/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace swallowtail {

AppendFile::AppendFile(std::filesystem::path path)
    : path_(std::move(path)), file_(open_file(path_, O_WRONLY | O_CREAT | O_APPEND)) {
  struct stat status {};
  if (::fstat(file_.number(), &status) != 0) throw_file_error("read the size", path_, errno);
  size_ = status.st_size;
}

void AppendFile::append(std::string_view record) {
  std::string_view rest = record;
  while (!rest.empty()) {
    const auto written = ::write(file_.number(), rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int error_number = errno;
      if (rest.size() != record.size()) truncate(size_);
      throw_file_error("write", path_, error_number);
    }
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  size_ += static_cast<std::int64_t>(record.size());
}

void AppendFile::truncate(std::int64_t bytes) {
  if (::ftruncate(file_.number(), bytes) != 0) throw_file_error("shorten", path_, errno);
  size_ = bytes;
}

}  // namespace swallowtail
