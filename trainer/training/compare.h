// `swallowtail evaluate RUN… --compare`: which of several experiments is better, and how sure that is. This header knows
// no torch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "parallel/communicator.h"

namespace swallowtail {

struct CompareRequest {
  std::vector<std::filesystem::path> runs;
  std::string checkpoint = "best";
  std::string split;  // empty: test where the runs have one, else validation
  std::int64_t resamples = 2000;
};

/// Runs whose experiments differ in the seed alone are one entry: a unit's figure is its mean over them. Units are the
/// users of ranking runs, the samples of click models (auc, logloss); all runs must be of the same ones. Intervals are
/// 95 % by the paired bootstrap; p: sign flips, for auc the bootstrap (evaluation/bootstrap.h).
/// {split, units ("users" or "samples"), count, resamples, confidence,
///  entries [{name, runs [..], metrics {name -> {value, low, high}}}],
///  comparisons [{a, b (names), metrics {name -> {difference (b - a), low, high, p}}}]}, every pair once. Collective.
/// Errors: usage where there is nothing to compare, or runs are not of the same units.
nlohmann::json compare_runs(const CompareRequest& request, Communicator& ranks);

}  // namespace swallowtail
