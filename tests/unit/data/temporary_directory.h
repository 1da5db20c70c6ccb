// A directory that lives as long as a test, and files in it.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>

namespace swallowtail::test {

class TemporaryDirectory {
 public:
  /// In memory where the machine has /dev/shm: many tests sync many small files.
  TemporaryDirectory()
      : TemporaryDirectory(::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : std::filesystem::temp_directory_path()) {}
  explicit TemporaryDirectory(const std::filesystem::path& parent) {
    std::string pattern = (parent / "swallowtail-test-XXXXXX").string();
    if (!::mkdtemp(pattern.data())) throw std::runtime_error("cannot make " + pattern);
    path_ = pattern;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(const std::string& name, std::string_view text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Public data beside the checkout, or an empty path where this machine has none.
inline std::filesystem::path shared_data(const std::string& name) {
  const char* set = std::getenv("SWALLOWTAIL_SHARED");
  const auto root = set ? std::filesystem::path(set) : std::filesystem::path(SWALLOWTAIL_SOURCE_DIR) / ".." / "shared";
  const auto path = root / "data" / name;
  return std::filesystem::exists(path) ? path : std::filesystem::path{};
}

}  // namespace swallowtail::test
