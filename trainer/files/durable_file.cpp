#include "trainer/files/durable_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace swallowtail {
namespace {

constexpr std::size_t kBufferBytes = 1 << 20;

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

}  // namespace

DurableFile::DurableFile(std::filesystem::path path)
    : path_(std::move(path)),
      partial_(path_.string() + ".partial"),
      file_(open_file(partial_, O_WRONLY | O_CREAT | O_TRUNC)) {
  buffer_.reserve(kBufferBytes);
}

DurableFile::~DurableFile() {
  if (is_partial_) ::unlink(partial_.c_str());  // a full disk needs its bytes back
}

void DurableFile::write(std::span<const std::byte> bytes) {
  if (buffer_.size() + bytes.size() > kBufferBytes) flush();
  if (bytes.size() > kBufferBytes) return put(bytes);
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

void DurableFile::put(std::span<const std::byte> bytes) {
  digest_.add(bytes);
  write_all(file_, partial_, bytes);
  size_ += static_cast<std::int64_t>(bytes.size());
}

void DurableFile::flush() {
  put(buffer_);
  buffer_.clear();
}

std::string DurableFile::commit() {
  flush();
  sync_data(file_, partial_);
  file_.close(partial_);
  if (::rename(partial_.c_str(), path_.c_str()) != 0) throw_file_error("rename", partial_, errno);
  is_partial_ = false;
  sync_folder(folder_of(path_));
  return digest_.hex();
}

void write_atomically(const std::filesystem::path& path, std::string_view text) {
  DurableFile file(path);
  file.write(text);
  file.commit();
}

void remove_durably(const std::filesystem::path& path) {
  if (::unlink(path.c_str()) == 0) return sync_folder(folder_of(path));
  if (errno != ENOENT) throw_file_error("remove", path, errno);
}

void make_folder_durably(const std::filesystem::path& folder) {
  if (::mkdir(folder.c_str(), 0777) != 0) {
    if (errno == ENOENT && folder.has_parent_path() && folder.parent_path() != folder) {
      make_folder_durably(folder.parent_path());
      if (::mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST) throw_file_error("make the folder", folder, errno);
    } else if (errno != EEXIST || !std::filesystem::is_directory(folder)) {
      throw_file_error("make the folder", folder, errno);
    }
  }
  sync_folder(folder_of(folder));
}

void sync_folder(const std::filesystem::path& folder) {
  const FileDescriptor file = open_file(folder, O_RDONLY | O_DIRECTORY);
  while (::fsync(file.number()) != 0) {
    if (errno == EINTR) continue;
    // Some network file systems know no sync of folders; there the rename is all that can be had.
    if (errno == EINVAL || errno == ENOTSUP) return;
    throw_file_error("sync", folder, errno);
  }
}

}  // namespace swallowtail
