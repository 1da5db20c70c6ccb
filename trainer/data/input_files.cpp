#include "trainer/data/input_files.h"

#include <fmt/format.h>
#include <glob.h>

#include <system_error>

#include "parallel/error.h"
#include "trainer/data/byte_source.h"
#include "trainer/files/sha256.h"

namespace swallowtail {
namespace {
constexpr std::size_t kPieceBytes = std::size_t{4} << 20;
}

std::vector<std::filesystem::path> expand_paths(const std::vector<std::filesystem::path>& patterns,
                                                const std::string& key) {
  std::vector<std::filesystem::path> paths;
  for (const auto& pattern : patterns) {
    std::error_code ignored;
    if (std::filesystem::exists(pattern, ignored)) {
      paths.push_back(pattern);
      continue;
    }
    if (pattern.string().find_first_of("*?[") == std::string::npos)
      throw Error{ExitCode::data, fmt::format("no such file ({})", key), pattern.string(), "correct the path"};
    glob_t matches{};
    const int result = ::glob(pattern.c_str(), 0, nullptr, &matches);
    for (std::size_t i = 0; result == 0 && i < matches.gl_pathc; ++i) paths.emplace_back(matches.gl_pathv[i]);
    ::globfree(&matches);
    if (result != 0)
      throw Error{ExitCode::data, fmt::format("no file matches the glob ({})", key), pattern.string(),
                  "correct the glob"};
  }
  return paths;
}

std::vector<InputFile> digest_files(const std::vector<std::filesystem::path>& paths,
                                    const std::function<void()>& tick) {
  std::vector<InputFile> files;
  std::vector<char> piece(kPieceBytes);
  for (const auto& path : paths) {
    const auto bytes = open_stored_bytes(path);
    Sha256 digest;
    InputFile file{.path = path, .bytes = 0, .sha256 = {}};
    while (const std::size_t got = bytes->read(piece)) {
      digest.add(std::string_view(piece.data(), got));
      file.bytes += static_cast<std::int64_t>(got);
      tick();
    }
    file.sha256 = digest.hex();
    files.push_back(std::move(file));
  }
  return files;
}

void check_unchanged(const std::vector<InputFile>& files) {
  for (const auto& file : files) {
    std::error_code failure;
    const auto bytes = std::filesystem::file_size(file.path, failure);
    if (failure || static_cast<std::int64_t>(bytes) != file.bytes)
      throw Error{ExitCode::data, fmt::format("the file changed while it was read: it had {} bytes", file.bytes),
                  file.path.string(), "start again when nothing writes to it"};
  }
}

}  // namespace swallowtail
