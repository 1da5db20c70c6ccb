// Scalars for TensorBoard: a file events.out.tfevents.* of TFRecords, each a protobuf Event.
// Source: tensorflow/core/util/event.proto, summary.proto and lib/io/record_writer (framing, masked CRC-32C).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

#include "trainer/files/append_file.h"

namespace swallowtail {

class TensorBoardWriter {
 public:
  /// Starts a new event file in `folder`. `resumed_from`: the step that the run goes on from; readers forget what
  /// earlier files of the folder say of later steps. Errors: resources.
  explicit TensorBoardWriter(const std::filesystem::path& folder, std::optional<std::int64_t> resumed_from = {});
  /// One point of the curve `tag` ("train/loss"); "/" groups curves. Errors: resources; no half record is left then.
  void scalar(std::string_view tag, std::int64_t step, double value);
  const std::filesystem::path& path() const noexcept { return file_.path(); }

 private:
  AppendFile file_;
};

}  // namespace swallowtail
