// What SAP is worth, measured: without each of its parts, and for users of whom nothing is known. Collective: every
// rank calls the same. This header knows no torch.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "parallel/communicator.h"
#include "trainer/config/experiment.h"

namespace swallowtail {

struct AblationRequest {
  std::vector<std::filesystem::path> runs;  // finished runs of SAP that differ by their seed alone
  std::vector<std::string> names;           // empty: all
  bool quiet = false;
};

/// Trains what each ablation changes (in <run>/ablations/<name>, with the run's own components where they are the
/// same), and compares user by user with the whole, each user averaged over the runs first. Goes on where it was
/// stopped. {"metric", "runs", "ablation": [{name, meaning, metrics {validation, test}, difference, low, high, p,
/// test {difference, low, high, p}}]}, the whole first under the name "full"; the same in <run>/ablation.json of the
/// first run, and in its report.html. Differences are of validation.
nlohmann::json ablate_sap(const AblationRequest& request, Communicator& ranks);

struct ColdUsersRequest {
  std::int64_t folds = 5;
  std::vector<std::int64_t> known{0, 2, 4};  // first items of a user that are given as history
  bool force = false, quiet = false;
};

/// Each fold of users is once kept wholly out of training; then the rest of their items is asked for. Any ranking
/// model. {"folds", "k", "results": [{known, users, ndcg {model, popularity}, difference, low, high, p}]}, the same in
/// cold_users.json of the run's folder.
nlohmann::json measure_cold_users(const Experiment& experiment, const ColdUsersRequest& request, Communicator& ranks);

}  // namespace swallowtail
