// A run's ledger, signed where the experiment says so.
#pragma once

#include <filesystem>
#include <memory>

#include "trainer/checkpoint/ledger.h"
#include "trainer/config/experiment.h"

namespace swallowtail {

/// Errors: damaged where the run's ledger is; usage where run.signing_key holds no key.
std::unique_ptr<Ledger> open_ledger(const std::filesystem::path& run_dir, const Experiment& experiment);

}  // namespace swallowtail
