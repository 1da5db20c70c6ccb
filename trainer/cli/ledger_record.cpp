#include "trainer/cli/ledger_record.h"

#include <fmt/format.h>

#include "trainer/report/run_directory.h"
#include "trainer/training/open_ledger.h"

namespace swallowtail::cli {

std::string record_in_ledger(const std::filesystem::path& run_dir, const Experiment& experiment, std::string_view kind,
                             const nlohmann::json& payload) {
  const auto not_there = [&](const std::string& why) {
    return fmt::format("swallowtail: the {} is not in the ledger: {}\n", kind, why);
  };
  // A new ledger would not know of the checkpoints that are there.
  if (!std::filesystem::exists(run_dir / kLedgerName)) return not_there("this run has none");
  try {
    const auto lock = RunDirectory::open(run_dir, RunMode::resume);
    open_ledger(run_dir, experiment)->append(kind, payload);
  } catch (const Error& error) {
    return not_there(fmt::format("{}, at {}", error.fact(), error.where()));
  }
  return {};
}

}  // namespace swallowtail::cli
