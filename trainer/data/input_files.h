// The files behind a path or glob, and what tells whether they are still the same.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace swallowtail {

struct InputFile {
  std::filesystem::path path;
  std::int64_t bytes = 0;  // as stored
  std::string sha256;      // of the bytes as stored
};

/// Every pattern in order; the matches of a glob (*, ?, [...]) in byte order. A path that exists is taken as it stands,
/// even with such characters in its name. Errors: ExitCode::data for a missing file and for a glob that matches
/// nothing; `key` is the key that names them.
std::vector<std::filesystem::path> expand_paths(const std::vector<std::filesystem::path>& patterns,
                                                const std::string& key);

/// Reads the files once. `tick` is called every few megabytes. Errors: as open_bytes.
std::vector<InputFile> digest_files(const std::vector<std::filesystem::path>& paths, const std::function<void()>& tick);

/// Errors: ExitCode::data where a file's size is not what it was when digested: it was written to meanwhile.
void check_unchanged(const std::vector<InputFile>& files);

}  // namespace swallowtail
