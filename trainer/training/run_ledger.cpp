#include "trainer/training/run_ledger.h"

#include "trainer/checkpoint/retention.h"
#include "trainer/files/sha256.h"
#include "trainer/training/open_ledger.h"

namespace swallowtail {

using nlohmann::json;

RunLedger::RunLedger(const std::filesystem::path& run_dir, const Experiment& experiment, bool writes) {
  if (writes) ledger_ = open_ledger(run_dir, experiment);
}

RunOrigin origin_of(const Session& session, const std::string& command) {
  return {command,
          session.experiment.to_yaml(),
          session.data.fingerprint,
          tables_of_run(session),
          session.ranks.world_size(),
          static_cast<std::int64_t>(session.seed)};
}

void RunLedger::begin(const RunOrigin& origin, const std::optional<Checkpoint>& resumed) {
  if (!ledger_) return;
  json payload = {{"command", origin.command},
                  {"experiment_sha256", sha256(origin.experiment_yaml)},
                  {"program_version", SWALLOWTAIL_VERSION},
                  {"program_sha256", sha256_of_file("/proc/self/exe")},
                  {"data_sha256", origin.data},
                  {"plan_sha256", sha256(origin.tables.dump())},
                  {"world_size", origin.world_size},
                  {"seed", origin.seed}};
  if (resumed) payload.update({{"step", resumed->step()}, {"manifest_sha256", resumed->digest()}});
  ledger_->append(resumed ? "resume" : "run", payload);
}

void RunLedger::checkpoint(const SaveRecord& record, const std::string& digest) {
  if (!ledger_) return;
  json payload = {{"step", record.step}, {"manifest_sha256", digest}};
  if (record.base_step) payload["base_step"] = *record.base_step;
  ledger_->append("checkpoint", payload);
}

void RunLedger::evaluation(std::int64_t step, const std::string& split, const std::string& weights,
                           const MetricValues& values) {
  if (!ledger_) return;
  ledger_->append("evaluation",
                  {{"step", step}, {"split", split}, {"weights", weights}, {"metrics", json(to_json(values))}});
}

void RunLedger::end(const RunState& state, const std::string& summary_text) {
  if (!ledger_) return;
  ledger_->append("end",
                  {{"step", state.step}, {"best_step", state.best_step}, {"summary_sha256", sha256(summary_text)}});
}

WriterOptions writer_options(const Experiment& experiment, const std::filesystem::path& checkpoints,
                             RunLedger& ledger) {
  const bool is_packed = experiment.text("checkpoint.compression") == "zstd";
  return {.save = {is_packed ? Compression::zstd : Compression::none},
          .async = experiment.boolean("checkpoint.async"),
          .published = [checkpoints, &ledger, keep = experiment.integer("checkpoint.keep")](const SaveRecord& record,
                                                                                            const std::string& digest) {
            ledger.checkpoint(record, digest);
            retire_checkpoints(checkpoints, keep, {record.state.at("best_step").get<std::int64_t>()});
          }};
}

}  // namespace swallowtail
