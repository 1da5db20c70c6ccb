#include "trainer/cli/experiment_argument.h"

#include <fmt/format.h>

namespace swallowtail::cli {

Experiment experiment_argument(const Arguments& arguments, const std::vector<std::string>& more_overrides) {
  const auto& files = arguments.rest();
  if (files.size() != 1)
    throw Error{
        ExitCode::usage,
        files.empty() ? "no experiment file was given" : fmt::format("{} experiment files were given", files.size()),
        "command line", "give one EXPERIMENT.yaml"};
  std::vector<std::string> overrides = arguments.overrides();
  overrides.insert(overrides.end(), more_overrides.begin(), more_overrides.end());
  return Experiment::load(files[0], overrides);
}

}  // namespace swallowtail::cli
