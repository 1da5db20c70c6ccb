// One ranking run, from its data to its files: what train_ranking() does for an experiment, and SAP for each of its
// components. This header knows no torch.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>

#include "trainer/training/ranking_session.h"
#include "trainer/training/training.h"

namespace swallowtail {

struct TrainedRanking {
  std::unique_ptr<RankingSession> session;  // the best weights, prepared to score
  nlohmann::ordered_json summary;
};

/// Collective. `open` reads the data, once the run's folder stands. Errors: as train_ranking().
TrainedRanking train_ranking_run(const Experiment& experiment, const std::filesystem::path& folder,
                                 const TrainRequest& request, Communicator& ranks,
                                 const std::function<Interactions()>& open);

/// Collective: the session of a finished run with the weights of its best checkpoint, prepared to score.
std::unique_ptr<RankingSession> open_trained(const Experiment& experiment, Interactions data,
                                             const std::filesystem::path& folder, const std::string& checkpoint,
                                             Communicator& ranks);

}  // namespace swallowtail
