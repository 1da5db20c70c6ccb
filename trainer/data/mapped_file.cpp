#include "trainer/data/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "parallel/error.h"

namespace swallowtail {

MappedFile::MappedFile(const std::filesystem::path& path, std::int64_t bytes) {
  constexpr auto advice = "prepare the data again: start the run with --force";
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    throw Error{ExitCode::data, fmt::format("cannot open the prepared data: {}", std::strerror(errno)), path.string(),
                advice};
  struct stat status {};
  const std::int64_t size = ::fstat(descriptor, &status) == 0 ? status.st_size : -1;
  // An empty range cannot be mapped, and need not be.
  void* address = size == bytes && bytes > 0
                      ? ::mmap(nullptr, static_cast<std::size_t>(bytes), PROT_READ, MAP_SHARED, descriptor, 0)
                      : nullptr;
  const int failure = errno;
  ::close(descriptor);
  if (size != bytes)
    throw Error{ExitCode::data, fmt::format("the file has {} bytes where {} are expected", size, bytes), path.string(),
                advice};
  if (address == MAP_FAILED)
    throw Error{ExitCode::resources, fmt::format("cannot map the prepared data: {}", std::strerror(failure)),
                path.string(), "raise the limit on address space"};
  bytes_ = {static_cast<const std::byte*>(address), static_cast<std::size_t>(bytes)};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace swallowtail
