// What every kind of run does with its folder and its process. This header knows no torch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "parallel/communicator.h"
#include "trainer/config/experiment.h"
#include "trainer/report/run_directory.h"
#include "trainer/training/training.h"

namespace swallowtail {

/// run.dir, or runs/<name> under the current directory.
std::filesystem::path run_folder(const Experiment& experiment);

/// The run's folder on rank 0, held until the run ends; the others wait until it stands. Errors: as RunDirectory.
std::optional<RunDirectory> open_run(const std::filesystem::path& folder, const Experiment& experiment,
                                     const TrainRequest& request, Communicator& ranks);

/// Of the largest rank. Collective.
std::int64_t peak_rss_bytes(Communicator& ranks);

}  // namespace swallowtail
