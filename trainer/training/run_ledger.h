// What a training run writes into its ledger. Rank 0 writes; on the others nothing happens.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "trainer/checkpoint/checkpoint.h"
#include "trainer/checkpoint/ledger.h"
#include "trainer/checkpoint/save.h"
#include "trainer/checkpoint/writer.h"
#include "trainer/training/run_state.h"
#include "trainer/training/scorer.h"

namespace swallowtail {

/// What a run is made of, beside the program.
struct RunOrigin {
  std::string command, experiment_yaml, data;  // data: their fingerprint
  nlohmann::json tables;                       // with their sharding
  int world_size = 1;
  std::int64_t seed = 0;
};
RunOrigin origin_of(const Session& session, const std::string& command);

class RunLedger {
 public:
  /// Errors: damaged where the run's ledger is; usage where run.signing_key holds no key.
  RunLedger(const std::filesystem::path& run_dir, const Experiment& experiment, bool writes);

  /// The run begins, or goes on from `resumed`.
  void begin(const RunOrigin& origin, const std::optional<Checkpoint>& resumed);
  void checkpoint(const SaveRecord& record, const std::string& digest);
  void evaluation(std::int64_t step, const std::string& split, const std::string& weights, const MetricValues& values);
  void end(const RunState& state, const std::string& summary_text);
  /// Hash of the last record; empty where nothing is written.
  std::string head() const { return ledger_ ? ledger_->head() : ""; }

 private:
  std::unique_ptr<Ledger> ledger_;
};

/// How the experiment wants its checkpoints saved. What is published is recorded in `ledger`, which outlives the
/// writer, and then older ones leave.
WriterOptions writer_options(const Experiment& experiment, const std::filesystem::path& checkpoints, RunLedger& ledger);

}  // namespace swallowtail
