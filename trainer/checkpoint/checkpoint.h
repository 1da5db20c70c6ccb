// Checkpoints: checkpoints/step-<n>/ holds one safetensors file a rank that has tensors, and manifest.json with the
// state of the run, every tensor's file and every file's size and SHA-256. A checkpoint is written under
// step-<n>.partial, synced, renamed, and its directory synced: a folder named step-<n> is complete. A reader on any
// number of ranks finds tensors by name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "parallel/communicator.h"
#include "trainer/checkpoint/safetensors.h"

namespace swallowtail {

/// Collective. `mine`: this rank's tensors (names distinct over all ranks). `state`: of rank 0.
/// Errors: resources where a file cannot be written; the partial folder is removed and older checkpoints stay.
void save_checkpoint(const std::filesystem::path& directory, std::int64_t step, const nlohmann::json& state,
                     std::span<const TensorRef> mine, Communicator& ranks);

/// Removes all but the newest `keep` complete checkpoints, and step `spare` (the best one; -1: none). Rank 0 calls it.
void retire_checkpoints(const std::filesystem::path& directory, std::int64_t keep, std::int64_t spare);

/// Steps of the complete checkpoints, rising.
std::vector<std::int64_t> checkpoint_steps(const std::filesystem::path& directory);

class Checkpoint {
 public:
  /// Reads the manifest and checks names, sizes and digests of all its files (each rank checks for itself).
  /// Errors: damaged, naming the file and what was expected and found.
  static Checkpoint open(const std::filesystem::path& directory, std::int64_t step);
  /// The newest one that opens; damaged newer ones are named in `complaints`. Nothing where there is none.
  static std::optional<Checkpoint> newest_good(const std::filesystem::path& directory,
                                               std::vector<std::string>& complaints);

  const nlohmann::json& state() const noexcept { return state_; }
  std::int64_t step() const noexcept { return step_; }
  /// The tensors whose names begin with `prefix`, sorted.
  std::vector<std::string> names(std::string_view prefix) const;
  bool has(const std::string& tensor) const { return file_of_.contains(tensor); }
  /// Errors: damaged where the tensor is missing or of another size.
  void read(const std::string& tensor, std::span<std::byte> out) const;

 private:
  std::filesystem::path folder_;
  std::int64_t step_ = 0;
  nlohmann::json state_;
  std::map<std::string, std::shared_ptr<SafetensorsReader>> file_of_;
};

}  // namespace swallowtail
