// Preloaded into a program (LD_PRELOAD): lets the n-th file call under a folder fail, fall short, or kill the process.
//   SWALLOWTAIL_IO_FAULT=<call>:<n>:<action>:<part of the path> [SWALLOWTAIL_IO_FAULT_RANK=<rank under mpirun>]
// call: write, sync, rename, open, mkdir, unlink, close, any. n counts from 1; 0 only counts; 3+ is every one from
// the third on. action: the name of an
// errno, short (a write takes half of its bytes), kill (before the call is made). On standard error: "io_faults:
// injected ..." when it happens, and "io_faults: <count> calls" at the end, so that a test knows that its fault did
// happen.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

struct Fault {
  std::string call, action, path;
  long nth = 0;
  bool is_lasting = false;  // every call from the n-th on
};

Fault read_fault() {
  Fault fault;
  const char* const text = std::getenv("SWALLOWTAIL_IO_FAULT");
  if (text == nullptr) return fault;
  const char* const odd_rank = std::getenv("SWALLOWTAIL_IO_FAULT_RANK");
  const char* const rank = std::getenv("OMPI_COMM_WORLD_RANK");
  if (odd_rank != nullptr && (rank == nullptr || std::strcmp(rank, odd_rank) != 0)) return fault;
  std::string rest = text;
  std::string* const fields[] = {&fault.call, nullptr, &fault.action};
  for (std::string* const field : fields) {
    const auto colon = rest.find(':');
    if (field != nullptr)
      *field = rest.substr(0, colon);
    else
      fault.nth = std::atol(rest.c_str()), fault.is_lasting = rest[rest.find_first_not_of("0123456789")] == '+';
    rest = rest.substr(colon + 1);
  }
  fault.path = rest;
  return fault;
}

const Fault& fault() {
  static const Fault one = read_fault();
  return one;
}

std::atomic<long> calls{0};

void say(const char* format, ...) {
  char line[PATH_MAX + 100];
  va_list arguments;
  va_start(arguments, format);
  const int size = std::vsnprintf(line, sizeof(line), format, arguments);
  va_end(arguments);
  ::syscall(SYS_write, STDERR_FILENO, line, static_cast<std::size_t>(size));
}

struct AtEnd {
  ~AtEnd() {
    if (!fault().call.empty()) say("io_faults: %ld calls\n", calls.load());
  }
} at_end;

int errno_of(const std::string& name) {
  if (name == "ENOSPC") return ENOSPC;
  if (name == "EIO") return EIO;
  if (name == "EDQUOT") return EDQUOT;
  if (name == "EINTR") return EINTR;
  if (name == "EACCES") return EACCES;
  say("io_faults: unknown action %s\n", name.c_str());
  std::abort();
}

enum class Verdict { pass, fail, cut };

/// What becomes of this call; errno is set where it fails.
Verdict judge(const char* call, const char* path) {
  if (fault().call.empty() || path == nullptr || std::strstr(path, fault().path.c_str()) == nullptr)
    return Verdict::pass;
  if (fault().call != "any" && fault().call != call) return Verdict::pass;
  const long count = ++calls;
  if (fault().is_lasting ? count < fault().nth : count != fault().nth) return Verdict::pass;
  say("io_faults: injected %s into %s of %s\n", fault().action.c_str(), call, path);
  if (fault().action == "kill") {
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();
  }
  if (fault().action == "short") return Verdict::cut;
  errno = errno_of(fault().action);
  return Verdict::fail;
}

Verdict judge(const char* call, int file) {
  if (fault().call.empty()) return Verdict::pass;
  char link[64], path[PATH_MAX];
  std::snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
  const auto size = ::readlink(link, path, sizeof(path) - 1);
  if (size < 0) return Verdict::pass;
  path[size] = '\0';
  return judge(call, path);
}

template <typename Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

ssize_t write(int file, const void* bytes, size_t size) {
  static const auto next = real<ssize_t (*)(int, const void*, size_t)>("write");
  switch (judge("write", file)) {
    case Verdict::fail:
      return -1;
    case Verdict::cut:
      return next(file, bytes, size > 1 ? size / 2 : size);
    case Verdict::pass:
      break;
  }
  return next(file, bytes, size);
}

int fsync(int file) {
  static const auto next = real<int (*)(int)>("fsync");
  return judge("sync", file) == Verdict::fail ? -1 : next(file);
}

int fdatasync(int file) {
  static const auto next = real<int (*)(int)>("fdatasync");
  return judge("sync", file) == Verdict::fail ? -1 : next(file);
}

int close(int file) {
  static const auto next = real<int (*)(int)>("close");
  if (judge("close", file) != Verdict::fail) return next(file);
  const int error_number = errno;
  next(file);  // close(2): the descriptor is gone even so
  errno = error_number;
  return -1;
}

int rename(const char* from, const char* to) {
  static const auto next = real<int (*)(const char*, const char*)>("rename");
  return judge("rename", from) == Verdict::fail ? -1 : next(from, to);
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned int flags) {
  static const auto next = real<int (*)(int, const char*, int, const char*, unsigned int)>("renameat2");
  return judge("rename", from) == Verdict::fail ? -1 : next(from_folder, from, to_folder, to, flags);
}

int mkdir(const char* path, mode_t mode) {
  static const auto next = real<int (*)(const char*, mode_t)>("mkdir");
  return judge("mkdir", path) == Verdict::fail ? -1 : next(path, mode);
}

int unlink(const char* path) {
  static const auto next = real<int (*)(const char*)>("unlink");
  return judge("unlink", path) == Verdict::fail ? -1 : next(path);
}

int rmdir(const char* path) {
  static const auto next = real<int (*)(const char*)>("rmdir");
  return judge("unlink", path) == Verdict::fail ? -1 : next(path);
}

int remove(const char* path) {
  static const auto next = real<int (*)(const char*)>("remove");
  return judge("unlink", path) == Verdict::fail ? -1 : next(path);
}

int unlinkat(int folder, const char* name, int flags) {
  static const auto next = real<int (*)(int, const char*, int)>("unlinkat");
  const Verdict verdict = folder == AT_FDCWD || name[0] == '/' ? judge("unlink", name) : judge("unlink", folder);
  return verdict == Verdict::fail ? -1 : next(folder, name, flags);
}

int open(const char* path, int flags, ...) {
  static const auto next = real<int (*)(const char*, int, ...)>("open");
  mode_t mode = 0;
  if ((flags & O_CREAT) != 0) {
    va_list arguments;
    va_start(arguments, flags);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
  }
  return judge("open", path) == Verdict::fail ? -1 : next(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  mode_t mode = 0;
  if ((flags & O_CREAT) != 0) {
    va_list arguments;
    va_start(arguments, flags);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
  }
  return open(path, flags, mode);
}

}  // extern "C"
