#include "trainer/report/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "parallel/error.h"
#include "trainer/report/file_descriptor.h"

namespace swallowtail {
namespace {

void write_and_sync(const std::filesystem::path& path, std::string_view text) {
  const auto file = open_file(path, O_WRONLY | O_CREAT | O_TRUNC);
  while (!text.empty()) {
    const auto written = ::write(file.number(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_file_error("write", path, errno);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(file.number()) != 0) throw_file_error("sync", path, errno);
}

}  // namespace

void write_atomically(const std::filesystem::path& path, std::string_view text) {
  auto partial = path;
  partial += ".partial";
  try {
    write_and_sync(partial, text);
    if (::rename(partial.c_str(), path.c_str()) != 0) throw_file_error("rename", path, errno);
  } catch (const Error&) {
    ::unlink(partial.c_str());  // a full disk needs its bytes back
    throw;
  }
  const auto parent = path.parent_path();
  const auto folder = open_file(parent.empty() ? "." : parent, O_RDONLY | O_DIRECTORY);
  // Some network file systems refuse to sync a folder (EINVAL); there the rename is as durable as it can be.
  if (::fsync(folder.number()) != 0 && errno != EINVAL) throw_file_error("sync", parent, errno);
}

}  // namespace swallowtail
