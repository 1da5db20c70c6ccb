// Is a run's folder what the run wrote? The ledger's chain, every checkpoint's bytes, and that each is the one that the
// ledger names; the same of the runs within it: components, folds.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "trainer/checkpoint/ledger.h"

namespace swallowtail {

/// {ok, first_bad (null, or what and where), checked_bytes, head, records, checkpoints [{step, bytes, ok, fact}],
/// notes, runs [{run, and the same}]}; ok, first_bad and checked_bytes speak of the runs within as well.
/// `expected.head` is of this run's ledger alone. Files are digested by `threads` threads. Errors: usage where the
/// folder holds no run.
nlohmann::json verify_run(const std::filesystem::path& run_dir, const LedgerExpectation& expected, int threads);

}  // namespace swallowtail
