// A complete checkpoint, as a reader on any number of ranks sees it: tensors by name and by the part of a table that
// they hold. Folders are named step-<n>; one that ends in .partial was never finished and counts for nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "parallel/communicator.h"
#include "trainer/checkpoint/manifest.h"
#include "trainer/files/file_descriptor.h"

namespace swallowtail {

/// Steps of the complete checkpoints, rising.
std::vector<std::int64_t> checkpoint_steps(const std::filesystem::path& directory);
std::filesystem::path checkpoint_folder(const std::filesystem::path& directory, std::int64_t step);

class Checkpoint {
 public:
  /// Reads the manifest, checks it against SHA256SUMS, and every file's name and size. The tensors' bytes are checked
  /// when they are read: block by block, so that a rank reads only its own part. Holds a shared lock, so that the
  /// checkpoint is not retired meanwhile. An incremental one opens its base too and checks that it is the one that it
  /// was made on. Errors: damaged, naming the file and what was expected and found.
  static Checkpoint open(const std::filesystem::path& directory, std::int64_t step);

  const Manifest& manifest() const noexcept { return manifest_; }
  const nlohmann::json& state() const noexcept { return manifest_.state; }
  std::int64_t step() const noexcept { return manifest_.step; }
  const std::filesystem::path& folder() const noexcept { return folder_; }
  /// SHA-256 of manifest.json: the identity of everything in the checkpoint.
  const std::string& digest() const noexcept { return digest_; }
  /// The full checkpoint that an incremental one adds to; null for a full one.
  const Checkpoint* base() const noexcept { return base_.get(); }

  bool has(const std::string& tensor) const { return manifest_.tensors.contains(tensor); }
  /// Errors: damaged where the tensor is missing, of another size, or a block of it has the wrong CRC-32C.
  void read(const std::string& tensor, std::span<std::byte> out) const;
  /// Bytes [from, from + out.size()) of a tensor of this checkpoint.
  void read(const TensorEntry& tensor, std::int64_t from, std::span<std::byte> out) const;
  /// Bytes [from, from + bytes) of a tensor, front to back. This checkpoint outlives it.
  BlockReader::Stream stream(const TensorEntry& tensor, std::int64_t from, std::int64_t bytes) const;
  /// Gives up what it holds for the next read.
  void forget() const;

  /// Reads every file of this one (not of the base) with `threads` threads and checks block and file digests. Returns
  /// the bytes read. Errors: damaged, the first file's by their order in the manifest.
  std::int64_t verify(int threads) const;

 private:
  std::filesystem::path folder_;
  std::string digest_;
  Manifest manifest_;
  std::vector<std::shared_ptr<BlockReader>> readers_;
  mutable std::size_t last_read_ = 0;  // of readers_, the one that holds a block
  std::shared_ptr<Checkpoint> base_;
  FileDescriptor lock_;
};

struct RestoreOptions {
  bool strict = false;  // a damaged newest checkpoint is an error
};

/// Collective. The newest checkpoint that opens on every rank and from which `restore` (not collective) takes what the
/// rank needs; damaged newer ones are named in `complaints` and set aside as step-<n>.damaged. Nothing where there is
/// no checkpoint. Errors: damaged where there are some and none is good, or strict and the newest is not; whatever else
/// `restore` throws.
std::optional<Checkpoint> restore_newest(const std::filesystem::path& directory, Communicator& ranks,
                                         const std::function<void(const Checkpoint&)>& restore,
                                         std::vector<std::string>& complaints, RestoreOptions options = {});

}  // namespace swallowtail
