#include "trainer/training/run_files.h"

#include <sys/resource.h>

#include "trainer/files/durable_file.h"

namespace swallowtail {

namespace fs = std::filesystem;

fs::path run_folder(const Experiment& experiment) {
  return experiment.has("run.dir") ? experiment.path("run.dir")
                                   : fs::absolute(fs::path("runs") / experiment.text("name"));
}

std::optional<RunDirectory> open_run(const fs::path& folder, const Experiment& experiment, const TrainRequest& request,
                                     Communicator& ranks) {
  std::optional<RunDirectory> directory;
  if (ranks.rank() == 0) {
    const RunMode mode = request.resume ? RunMode::resume : request.force ? RunMode::replace : RunMode::create;
    directory = RunDirectory::open(folder, mode);
    write_atomically(folder / "experiment.yaml", experiment.to_yaml());
  }
  ranks.barrier(Tag{"run directory", 0});
  return directory;
}

bool can_go_on(const fs::path& folder, Communicator& ranks) {
  std::int64_t goes_on = 0;
  if (ranks.rank() == 0) {
    std::error_code ignored;
    const bool has_checkpoint =
        fs::exists(folder / "checkpoints", ignored) && !fs::is_empty(folder / "checkpoints", ignored);
    goes_on = has_checkpoint || fs::exists(folder / "folds", ignored) ? 1 : 0;
    if (goes_on == 0) fs::remove_all(folder, ignored);
  }
  ranks.all_reduce_max(Tag{"run can go on"}, std::span(&goes_on, 1));
  return goes_on != 0;
}

bool link_prepared(const fs::path& prepared, const fs::path& folder, Communicator& ranks) {
  if (ranks.rank() != 0 || prepared.empty() || !fs::exists(prepared) || fs::exists(folder / "prepared")) return false;
  fs::copy(prepared, folder / "prepared", fs::copy_options::recursive | fs::copy_options::create_hard_links);
  return true;
}

std::int64_t peak_rss_bytes(Communicator& ranks) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::vector<std::int64_t> largest{usage.ru_maxrss * 1024};
  ranks.all_reduce_max(Tag{"peak memory", 0}, std::span(largest));
  return largest[0];
}

}  // namespace swallowtail
