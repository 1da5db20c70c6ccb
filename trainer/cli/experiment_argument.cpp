#include "trainer/cli/experiment_argument.h"

#include <fmt/format.h>

namespace swallowtail::cli {

Experiment experiment_argument(const Arguments& arguments) {
  const auto& files = arguments.rest();
  if (files.size() != 1)
    throw Error{
        ExitCode::usage,
        files.empty() ? "no experiment file was given" : fmt::format("{} experiment files were given", files.size()),
        "command line", "give one EXPERIMENT.yaml"};
  return Experiment::load(files[0], arguments.overrides());
}

}  // namespace swallowtail::cli
