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

/// Collective: whether the run in `folder` can go on where it was cut off: it has a checkpoint, or folds. What else
/// lies there is removed, so that it can start again. For runs within a run, whose folders are their own.
bool can_go_on(const std::filesystem::path& folder, Communicator& ranks);

/// On rank 0: links the prepared data of another run of the same data section into a new run's folder. True where there
/// are such: they need not be made again. `prepared` may be empty: none.
bool link_prepared(const std::filesystem::path& prepared, const std::filesystem::path& folder, Communicator& ranks);

/// Of the largest rank. Collective.
std::int64_t peak_rss_bytes(Communicator& ranks);

}  // namespace swallowtail
