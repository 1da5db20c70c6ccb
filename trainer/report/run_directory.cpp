#include "trainer/report/run_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "parallel/error.h"

namespace swallowtail {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kLockName = "run.lock";
constexpr std::string_view kExperimentName = "experiment.yaml";

enum class Content { missing, empty, run, other };

Content content_of(const fs::path& path) {
  std::error_code error;
  const auto status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) return Content::missing;
  if (error) throw_file_error("open", path, error.value());
  if (!fs::is_directory(status)) throw_file_error("use as a run folder", path, ENOTDIR);
  bool has_lock = false, has_experiment = false, has_more = false;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
    const auto name = entry->path().filename();
    has_lock |= name == kLockName;
    has_experiment |= name == kExperimentName;
    has_more |= name != kLockName;
  }
  if (error) throw_file_error("read", path, error.value());
  if (!has_more) return Content::empty;
  return has_experiment && has_lock ? Content::run : Content::other;
}

/// True when held now, false where the file system has no locks. Errors: usage where another process holds it.
bool take_lock(const FileDescriptor& lock, const fs::path& path) {
  if (::flock(lock.number(), LOCK_EX | LOCK_NB) == 0) return true;
  switch (errno) {
    case EWOULDBLOCK:
      throw Error{ExitCode::usage, "another process is writing this run", path.string(),
                  "wait for it to end, or choose another name"};
    case ENOSYS:
    case ENOLCK:
    case EOPNOTSUPP:
      return false;
    default:
      throw_file_error("lock", path, errno);
  }
}

void refuse_wrong_content(Content content, RunMode mode, const fs::path& path) {
  if (mode == RunMode::resume) {
    std::error_code error;
    if (content == Content::run || (content == Content::other && fs::exists(path / kExperimentName, error))) return;
    throw Error{ExitCode::usage, "there is no run to resume", path.string(), "start it without --resume"};
  }
  if (content == Content::other)
    throw Error{ExitCode::usage, "the folder exists and holds files that no run wrote", path.string(),
                "choose another name or run.dir, or empty it yourself"};
  if (content == Content::run && mode == RunMode::create)
    throw Error{ExitCode::usage, "the run exists already", path.string(),
                "continue it with --resume, choose another name, or replace it with --force"};
}

void remove_content(const fs::path& path) {
  std::error_code error;
  fs::directory_iterator entry(path, error), end;
  for (; !error && entry != end; entry.increment(error)) {
    if (entry->path().filename() == kLockName) continue;
    std::error_code removal;
    fs::remove_all(entry->path(), removal);
    if (removal) throw_file_error("remove", entry->path(), removal.value());
  }
  if (error) throw_file_error("read", path, error.value());
}

}  // namespace

RunDirectory RunDirectory::open(const fs::path& path, RunMode mode) {
  if (path.empty()) throw Error{ExitCode::usage, "the run has no folder", {}, "set name or run.dir"};
  const auto content = content_of(path);
  const auto lock_path = path / kLockName;
  // A run that is still being written says so first: --resume and --force would be the wrong advice.
  if (content == Content::run) take_lock(open_file(lock_path, O_RDWR), path);
  refuse_wrong_content(content, mode, path);
  std::error_code error;
  if (content == Content::missing) fs::create_directories(path, error);
  if (error) throw_file_error("make the folder", path, error.value());

  auto lock = open_file(lock_path, O_RDWR | O_CREAT);
  const bool is_locked = take_lock(lock, path);
  refuse_wrong_content(content_of(path), mode, path);  // another run may have come and gone before the lock was ours
  if (mode == RunMode::replace) remove_content(path);
  return {path, std::move(lock), is_locked};
}

}  // namespace swallowtail
