// A finished run, opened again to be measured. This header knows no torch.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "trainer/training/ranking_session.h"

namespace swallowtail {

/// The session of a ranking run with the weights of a checkpoint (best, last, step-<n>), ready to score.
struct OpenedRun {
  std::unique_ptr<RankingSession> session;
  std::int64_t step;
};
/// Collective. Errors: usage where there is no run, or none that ranks items.
OpenedRun open_ranking_run(const std::filesystem::path& run_dir, const std::string& checkpoint,
                           const std::vector<std::string>& overrides, Communicator& ranks);

/// What a run of a click model says of every sample of a part, on rank 0; empty on the others.
struct RunScores {
  std::vector<double> probabilities;
  std::vector<float> labels;
};
/// Collective. Errors: as evaluate().
RunScores scores_of_run(const std::filesystem::path& run_dir, const std::string& checkpoint, const std::string& split,
                        Communicator& ranks);

}  // namespace swallowtail
