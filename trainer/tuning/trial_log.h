// trials.jsonl of a search: one line a finished trial, on the disk before the next trial begins. Several ranks may
// append to one file at once.
//   {"trial", "epochs" (halving, else 0), "parameters" {key -> value as text}, "state" (done | failed), "value" (of the
//    metric, or null), "seconds", "error" (of a failed one), "metrics" {split -> {name -> value}}}
// A last line that was cut by a crash is taken off when the log is opened for a search that goes on.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "trainer/tuning/search.h"

namespace swallowtail {

struct TrialRecord {
  Trial trial;
  std::optional<double> value;  // of the metric; nothing: it failed
  std::string error;            // why
  double seconds = 0;
  nlohmann::ordered_json metrics;
};

nlohmann::ordered_json to_json(const TrialRecord& record, const std::vector<SearchParameter>& space);

class TrialLog {
 public:
  explicit TrialLog(std::filesystem::path path) : path_(std::move(path)) {}
  /// The records by number, after cutting off a torn last line. Errors: damaged where a line is none; usage where its
  /// parameters are not those of `space`.
  std::vector<TrialRecord> open(const std::vector<SearchParameter>& space) const;
  /// Errors: resources; then nothing of the record is left.
  void append(const TrialRecord& record, const std::vector<SearchParameter>& space) const;

 private:
  std::filesystem::path path_;
};

/// Errors: as TrialLog::open; `place` stands in them.
TrialRecord trial_record(const nlohmann::json& line, const std::vector<SearchParameter>& space,
                         const std::string& place);

}  // namespace swallowtail
