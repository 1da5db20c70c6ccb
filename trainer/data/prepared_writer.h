// Writes one split of the prepared store (prepared_layout.h), sample by sample, in memory that does not grow with them.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "trainer/data/encoding.h"
#include "trainer/data/prepared_layout.h"
#include "trainer/files/durable_file.h"

namespace swallowtail {

class PreparedWriter {
 public:
  /// Removes the split's old manifest: from now on until commit() the split does not exist.
  PreparedWriter(std::filesystem::path directory, std::string split, const Encoding& encoding);
  void add(const EncodedView& row, std::uint32_t file, std::int64_t line);
  std::int64_t rows() const noexcept { return manifest_.rows; }
  /// Makes the files durable, then the manifest, which also gets key, rows_read, rows_quarantined and sources of
  /// `about`.
  void commit(const PreparedManifest& about);

 private:
  std::filesystem::path directory_;
  std::string split_;
  PreparedManifest manifest_;
  std::size_t id_bytes_;
  bool has_id_weights_;
  std::vector<char> is_one_hot_;  // as the manifest's, quicker to read, and texts behind them
  std::int64_t ids_written_ = 0;
  std::vector<std::byte> record_, ids_;
  std::array<std::optional<DurableFile>, kStoredFiles> files_;
};

}  // namespace swallowtail
