// manifest.json of a checkpoint: what the run was at that step, every file with its check sums, every tensor with its
// place. FORMAT.md describes it for readers in other languages.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "parallel/sharding/sharding_plan.h"
#include "trainer/checkpoint/block_file.h"
#include "trainer/checkpoint/safetensors.h"

namespace swallowtail {

/// Which part of an embedding table's array a tensor holds: the shard's rectangle. Row i of the tensor is the row at
/// position shard.first_row + i of the order, and holds `planes` runs of the shard's columns (Adam's state: two), or
/// one value of its own (planes 0).
struct TablePiece {
  std::string table, array;  // array: weights, optimizer_state, average, average_step
  std::int64_t table_rows = 0, dim = 0;
  bool is_hashed = false;  // parallel/sharding/row_order.h
  Shard shard;
  std::int64_t planes = 1;
  /// Incremental: the tensor holds only the rows whose numbers i stand in this I64 tensor, in its order.
  std::string rows_in{};

  RowOrder order() const { return is_hashed ? RowOrder::hashed(table_rows) : RowOrder::as_they_stand(table_rows); }
  std::int64_t row_elements() const noexcept { return planes == 0 ? 1 : planes * shard.cols; }
};

struct TensorEntry {
  TensorShape shape;
  std::size_t file = 0;     // index into Manifest::files
  std::int64_t offset = 0;  // of its first byte, uncompressed
  std::optional<TablePiece> piece;
};

struct Manifest {
  std::int64_t step = 0;
  int world_size = 1;
  nlohmann::json state;                   // of the run; the checkpoint does not look into it
  std::optional<std::int64_t> base_step;  // incremental: the full checkpoint that this one adds to
  std::string base_digest;                // that one's digest
  std::vector<BlockIndex> files;
  std::map<std::string, TensorEntry> tensors;
};

nlohmann::json to_json(const TensorEntry& tensor);
std::string to_text(const Manifest& manifest);

/// Errors: damaged, at `where`, naming what is missing or cannot be true. Believes nothing: names stay in the folder,
/// every tensor lies within its file, every piece within its table.
Manifest parse_manifest(const std::string& text, const std::filesystem::path& where);

/// One tensor as to_json() wrote it; `files` bound its place.
TensorEntry tensor_from_json(const std::string& name, const nlohmann::json& json, std::span<const BlockIndex> files,
                             const std::filesystem::path& where);

inline constexpr std::string_view kManifestName = "manifest.json";
inline constexpr std::string_view kSumsName = "SHA256SUMS";  // as sha256sum -c reads it, the manifest's line first

}  // namespace swallowtail
