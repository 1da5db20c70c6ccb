// A disk that is full after some more bytes of any one file, made with the limit on file size: writes are cut short and
// then refused (EFBIG), as ENOSPC does it.
#pragma once

#include <sys/resource.h>

#include <csignal>

namespace swallowtail {

class FullDisk {
 public:
  explicit FullDisk(rlim_t file_bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{file_bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  FullDisk(const FullDisk&) = delete;
  ~FullDisk() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

}  // namespace swallowtail
