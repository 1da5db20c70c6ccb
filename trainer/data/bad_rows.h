// Counts bad rows and writes them to a quarantine file, or makes the first of them the run's error.
// quarantine.tsv: header `file line column value reason`, then a line a bad row; tab, line feed, carriage return,
// backslash and other control bytes of a value are written \t \n \r \\ \xHH, and values end after 1,000 bytes with \….
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "trainer/data/source.h"
#include "trainer/files/durable_file.h"

namespace swallowtail {

class BadRows {
 public:
  /// `path`: of the quarantine file, made when the first bad row comes. An older one at `path` is removed, except for
  /// its rows of the files in `kept`, which are carried over.
  BadRows(std::filesystem::path path, const DataOptions& options, const std::set<std::string>& kept = {});

  /// Errors: ExitCode::data at file:line:column where data.on_bad_row is fail.
  void add(const std::filesystem::path& file, const BadCell& cell);
  /// Call after all files of one key: `rows` rows good and bad, of which the last `bad` ones added are theirs.
  /// Errors: ExitCode::data where more than data.max_bad_fraction of them are bad; it shows the first ones.
  void check_fraction(std::int64_t rows, std::int64_t bad);
  std::int64_t count() const noexcept { return count_; }
  /// Makes the file durable. Nothing to do where no row was bad.
  void commit();

 private:
  void write(const std::string& line);
  std::filesystem::path path_;
  bool is_quarantine_;
  double max_fraction_;
  std::int64_t count_ = 0;
  std::vector<std::string> first_;  // the first few since the last check, in words
  std::unique_ptr<DurableFile> file_;
};

/// A value as the quarantine file holds it.
std::string escape_value(std::string_view value, std::size_t most_bytes = 1000);

}  // namespace swallowtail
