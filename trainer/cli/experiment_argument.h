#pragma once

#include <string>
#include <vector>

#include "trainer/cli/arguments.h"
#include "trainer/config/experiment.h"

namespace swallowtail::cli {

/// The experiment that the one file among the arguments and the overrides make; `more_overrides`, of flags, win.
/// Errors: usage where there is no file or more than one; those of Experiment::load.
Experiment experiment_argument(const Arguments& arguments, const std::vector<std::string>& more_overrides = {});

}  // namespace swallowtail::cli
