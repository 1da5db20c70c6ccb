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

std::int64_t peak_rss_bytes(Communicator& ranks) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::vector<std::int64_t> largest{usage.ru_maxrss * 1024};
  ranks.all_reduce_max(Tag{"peak memory", 0}, std::span(largest));
  return largest[0];
}

}  // namespace swallowtail
