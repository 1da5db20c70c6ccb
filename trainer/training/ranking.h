// Training, evaluation and use of ranking models, as the command line calls them: the counterpart of training.h for
// data.source: interactions. Collective: every rank calls the same. This header knows no torch.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "trainer/training/training.h"

namespace swallowtail {

/// Whether the experiment's model ranks items: then the functions below are its, else those of training.h.
bool is_ranking(const Experiment& experiment);

/// As train(): the run directory, and summary.json on every rank. Beside its keys: `protocol` and `slices` by split.
nlohmann::json train_ranking(const Experiment& experiment, const TrainRequest& request, Communicator& ranks);

/// As evaluate(), from what the run has stored of its data; request.rankings is a file of the test part's lists.
/// {run, checkpoint, metrics {split -> {name -> value or null}}, slices {split -> {slice -> {users, metrics}}},
/// protocol {split -> words}}.
nlohmann::json evaluate_ranking(const EvaluateRequest& request, Communicator& ranks);

struct RecommendRequest {
  std::filesystem::path run_dir;
  std::string checkpoint = "best";
  std::vector<std::string> users;  // external ids; an unknown one is a new user
  std::int64_t k = 10;
  std::filesystem::path out;   // TSV: user, items; empty: none
  std::filesystem::path pool;  // of SAP, TSV: an item of a user's pool a line, as write_pools() says; empty: none
};

/// The best items that a user has in none of training and validation, which is also the history that is known.
/// {user, items [{item, score, reasons [{item, share}]}], by_popularity}, or {"users": [..]} of several.
nlohmann::json recommend(const RecommendRequest& request, Communicator& ranks);

}  // namespace swallowtail
