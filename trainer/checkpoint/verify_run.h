// Is a run's folder what the run wrote? The ledger's chain, every checkpoint's bytes, and that each is the one that the
// ledger names.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "trainer/checkpoint/ledger.h"

namespace swallowtail {

/// {ok, first_bad (null, or what and where), checked_bytes, head, records, checkpoints [{step, bytes, ok, fact}],
/// notes}. Files are digested by `threads` threads. Errors: usage where the folder holds no run.
nlohmann::json verify_run(const std::filesystem::path& run_dir, const LedgerExpectation& expected, int threads);

}  // namespace swallowtail
