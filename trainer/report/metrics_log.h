// metrics.jsonl: one JSON object a line, appended while the run goes on. Read it with any JSON lines reader.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "trainer/files/append_file.h"

namespace swallowtail {

/// Compact JSON in which every floating number has the 17 significant digits that bring back its bits. NaN and
/// infinities, which JSON cannot say, are null.
std::string exact_json(const nlohmann::ordered_json& value);

class MetricsLog {
 public:
  /// Opens or creates the log. A last line without its line feed, left by a crash, is dropped. Errors: resources.
  explicit MetricsLog(const std::filesystem::path& path);
  /// Appends `record`, an object, as one line; keys stay in their order. Errors: resources; no half line is left then.
  void append(const nlohmann::ordered_json& record);
  /// Before going on from a checkpoint: drops the lines whose "step" is above `step`, and lines that are no JSON
  /// object. Returns how many it dropped. Errors: resources; the log is as it was then.
  std::int64_t truncate_after(std::int64_t step);

 private:
  AppendFile file_;
};

}  // namespace swallowtail
