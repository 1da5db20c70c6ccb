// The prepared store of one split, three files and a manifest in one directory:
//   <split>.rows        a record of fixed length a sample: fp32 dense values, fp32 label, fp32 weight (where there are
//   sample weights),
//                       ids of the one-hot features, then, where there are jagged features, uint64 position of its
//                       first id in <split>.ids and a uint32 count a jagged feature; uint32 source file and uint64 line
//                       that it came from
//   <split>.ids         ids of the jagged features, then words of the texts, sample by sample, feature by feature
//   <split>.id_weights  fp32 weight of each of these, where a feature is weighted
//   <split>.json        the manifest: shape, counts, sources, size and SHA-256 of each file, and its own digest;
//   written last
// Ids are 4 bytes where every table has at most 2^32 rows, else 8. Little-endian, as the machines that this runs on.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/data/batch.h"
#include "trainer/data/input_files.h"

namespace swallowtail {

struct StoredFileEntry {
  std::int64_t bytes = 0;
  std::string sha256;
};

enum StoredFileKind : std::uint8_t { kRowsFile, kIdsFile, kIdWeightsFile, kStoredFiles };
constexpr std::array<std::string_view, kStoredFiles> kStoredFileNames{"rows", "ids", "id_weights"};

struct PreparedManifest {
  std::string key;  // digest of all that decides the split's content
  DataShape shape;
  std::vector<bool> is_one_hot;  // [categorical features]
  bool has_weights = false;
  std::int64_t rows = 0, ids = 0;                    // samples; ids of jagged features
  std::int64_t rows_read = 0, rows_quarantined = 0;  // of the sources
  std::vector<InputFile> sources;
  std::array<StoredFileEntry, kStoredFiles> files;

  std::int64_t one_hot() const;
  /// Features with any number of ids, and texts behind them.
  std::int64_t jagged() const { return static_cast<std::int64_t>(is_one_hot.size() + shape.texts.size()) - one_hot(); }
  bool has_id_weights() const;
  std::int64_t id_bytes() const;
  std::int64_t record_bytes() const;

  std::string to_json() const;
  /// Checks form, its own digest, and that counts and sizes agree with one another without overflow.
  /// Errors: ExitCode::data at `where`.
  static PreparedManifest from_json(std::string_view text, const std::string& where);
};

std::filesystem::path stored_path(const std::filesystem::path& directory, std::string_view split, StoredFileKind kind);
std::filesystem::path manifest_path(const std::filesystem::path& directory, std::string_view split);

/// Errors: ExitCode::data for a file that is missing, too large to be a manifest, or damaged.
PreparedManifest read_manifest(const std::filesystem::path& directory, std::string_view split);

}  // namespace swallowtail
