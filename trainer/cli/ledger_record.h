// What commands beside training write into a run's ledger. Rank 0 alone.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "trainer/config/experiment.h"

namespace swallowtail::cli {

/// Appends a record to the run's ledger, signed where the run is. Returns why it could not, as a line for the user,
/// else nothing: what the record tells of is done, and a run that is being trained has another writer.
std::string record_in_ledger(const std::filesystem::path& run_dir, const Experiment& experiment, std::string_view kind,
                             const nlohmann::json& payload);

}  // namespace swallowtail::cli
