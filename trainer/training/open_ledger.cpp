#include "trainer/training/open_ledger.h"

#include <optional>

namespace swallowtail {

std::unique_ptr<Ledger> open_ledger(const std::filesystem::path& run_dir, const Experiment& experiment) {
  std::optional<SigningKey> key;
  if (experiment.has("run.signing_key")) key = SigningKey::load(experiment.path("run.signing_key"));
  return Ledger::open(run_dir / kLedgerName, std::move(key));
}

}  // namespace swallowtail
