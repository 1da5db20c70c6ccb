// `swallowtail verify RUN …`: ledgers and checkpoints, by one rank.
#pragma once

#include "trainer/cli/command.h"

namespace swallowtail::cli {

Outcome verify_runs(const Arguments& arguments);

}  // namespace swallowtail::cli
