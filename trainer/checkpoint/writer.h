// Saves the checkpoints of a run, one at a time, at once or behind the training. Behind it: the state is copied (the
// stall that training feels), a thread of each rank writes its files, and rank 0's thread publishes the checkpoint when
// the reports of all ranks lie in the folder. What is saved is the state of one step, bit for bit as a save at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "parallel/communicator.h"
#include "parallel/error.h"
#include "trainer/checkpoint/save.h"

namespace swallowtail {

struct WriterOptions {
  SaveOptions save;
  bool async = false;
  /// Rank 0, once a checkpoint is published, perhaps from the writer's thread: the ledger, retention.
  std::function<void(const SaveRecord&, const std::string& digest)> published{};
};

struct SaveResult {
  std::int64_t step = 0;
  std::string digest;          // of the manifest; empty where the save failed
  std::optional<Error> error;  // resources: the same on every rank; older checkpoints are as they were
};

class CheckpointWriter {
 public:
  CheckpointWriter(std::filesystem::path directory, Communicator& ranks, WriterOptions options);
  ~CheckpointWriter();  // waits for this rank's thread; a save that was not joined may be published or not

  /// Collective. First joins the save before; its result is returned, nothing where there was none. Not async: the
  /// result of this save is that of the join() that follows. `mine` may change as soon as this returns.
  std::optional<SaveResult> start(const SaveRecord& record, std::span<const TensorRef> mine);
  /// Collective. Waits for the save under way, where there is one.
  std::optional<SaveResult> join();

  /// Bytes that this rank keeps for copies, as long as the writer lives.
  std::int64_t copy_bytes() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Collective: one save, at once. Returns the manifest's SHA-256, on every rank. Errors: resources, on every rank.
std::string save_checkpoint(const std::filesystem::path& directory, const SaveRecord& record,
                            std::span<const TensorRef> mine, Communicator& ranks, SaveOptions options = {});

}  // namespace swallowtail
