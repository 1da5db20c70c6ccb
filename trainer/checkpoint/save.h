// Saving as a transaction: every rank writes its own files into step-<n>.partial/, rank 0 writes the manifest last and
// renames the folder. Whatever happens before the rename, the older checkpoints are as they were.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "parallel/communicator.h"
#include "trainer/checkpoint/manifest.h"

namespace swallowtail {

/// A tensor to write, borrowed.
struct TensorRef {
  std::string name;
  std::string dtype;  // "F32", "I64"
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
  std::optional<TablePiece> piece{};
};

struct SaveOptions {
  Compression compression = Compression::none;  // of large arrays
};

/// What is saved beside the tensors: of rank 0.
struct SaveRecord {
  std::int64_t step = 0;
  nlohmann::json state;
  std::optional<std::int64_t> base_step{};  // incremental
  std::string base_digest{};
};

/// The parts of a save; trainer/checkpoint/writer.h puts them together. write_shard and publish_checkpoint need no
/// other rank, so a thread may do them.
std::filesystem::path partial_folder(const std::filesystem::path& directory, std::int64_t step);
/// Makes the empty folder that all ranks write into. Rank 0 alone.
void begin_checkpoint(const std::filesystem::path& directory, std::int64_t step);
/// This rank's files: small tensors as safetensors, arrays of tables from 4 MiB on as raw blocks. Returns what
/// publish_checkpoint needs to know of them, or {"error": ...}.
nlohmann::json write_shard(const std::filesystem::path& partial, std::span<const TensorRef> mine, int rank,
                           SaveOptions options);
/// Writes SHA256SUMS and the manifest, and renames the folder. `reports`: of all ranks, by rank. Rank 0 alone. Returns
/// the manifest's SHA-256. Errors: resources; also the first of the reports' errors.
std::string publish_checkpoint(const std::filesystem::path& directory, const SaveRecord& record,
                               std::span<const nlohmann::json> reports);
/// Removes what a failed save left. Rank 0 alone.
void abandon_checkpoint(const std::filesystem::path& directory, std::int64_t step) noexcept;

}  // namespace swallowtail
