// The curves of a run by step, from its metrics.jsonl.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "trainer/report/plot.h"

namespace swallowtail {

/// Plots of loss, learning rate, samples per second and every metric. Lines with "loss" are training; lines with
/// "split" hold metrics. In a run that averages its weights ("weights" other than "raw") the averaged ones bear the
/// split's name and the others are "validation, raw weights", as in the rest of the report. logloss stands beside the
/// loss. A known `best_step` is marked. A missing file gives no plots; lines that are no JSON are passed over.
std::vector<Plot> plots_by_step(const std::filesystem::path& metrics_jsonl, std::optional<std::int64_t> best_step = {});

}  // namespace swallowtail
