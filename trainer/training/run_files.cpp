#include "trainer/training/run_files.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>

#include "trainer/checkpoint/checkpoint.h"
#include "trainer/files/durable_file.h"
#include "trainer/training/run_state.h"

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

std::int64_t find_step(const fs::path& checkpoints, const std::string& wanted) {
  const auto steps = checkpoint_steps(checkpoints);
  if (steps.empty())
    throw Error{ExitCode::usage, "the run has no checkpoint", checkpoints.string(),
                "train it with checkpoint.enabled: true"};
  if (wanted == "last") return steps.back();
  if (wanted == "best") {
    const auto best = run_state_from_json(Checkpoint::open(checkpoints, steps.back()).state()).best_step;
    return best < 0 ? steps.back() : best;
  }
  std::int64_t step = -1;
  const std::string_view digits =
      std::string_view(wanted).starts_with("step-") ? std::string_view(wanted).substr(5) : "";
  std::from_chars(digits.data(), digits.data() + digits.size(), step);
  if (std::ranges::find(steps, step) != steps.end()) return step;
  std::string known;
  for (const std::int64_t one : steps) known += fmt::format(" step-{}", one);
  throw Error{ExitCode::usage, fmt::format("the run has no checkpoint '{}'", wanted), checkpoints.string(),
              "it has best, last," + known};
}

std::int64_t peak_rss_bytes(Communicator& ranks) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::vector<std::int64_t> largest{usage.ru_maxrss * 1024};
  ranks.all_reduce_max(Tag{"peak memory", 0}, std::span(largest));
  return largest[0];
}

}  // namespace swallowtail
