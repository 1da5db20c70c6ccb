#include "trainer/checkpoint/verify_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "parallel/error.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/files/sha256.h"

namespace swallowtail {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

/// What the ledger last said of things that can be looked up.
struct Recorded {
  std::map<std::int64_t, std::string> manifests;  // by step
  std::string experiment, summary;
};

Recorded recorded(const LedgerCheck& ledger) {
  Recorded last;
  for (const LedgerRecord& record : ledger.records) try {
      const json& payload = record.payload;
      if (record.kind == "checkpoint" || (record.kind == "resume" && payload.contains("step")))
        last.manifests[payload.at("step").get<std::int64_t>()] = payload.at("manifest_sha256").get<std::string>();
      if (record.kind == "run" || record.kind == "resume") {
        last.experiment = payload.at("experiment_sha256").get<std::string>();
        last.summary.clear();  // that of the try before
      }
      if (record.kind == "end") last.summary = payload.at("summary_sha256").get<std::string>();
    } catch (const json::exception&) {
      throw Error{ExitCode::damaged, fmt::format("the payload of record {} lacks what its kind has", record.seq),
                  std::string(kLedgerName), "restore the ledger from a copy"};
    }
  return last;
}

std::vector<fs::path> folders_in(const fs::path& folder) {
  std::vector<fs::path> folders;
  std::error_code failed;
  for (fs::directory_iterator entry(folder, failed), end; !failed && entry != end; entry.increment(failed))
    if (entry->is_directory(failed)) folders.push_back(entry->path());
  std::ranges::sort(folders);
  return folders;
}

/// Runs that a run has trained as parts of itself: components of SAP, also those without their last interactions, and
/// folds of a cross-validation.
std::vector<fs::path> runs_within(const fs::path& run_dir) {
  std::vector<fs::path> runs;
  for (const char* kind : {"components", "meta", "folds"})
    for (const fs::path& folder : folders_in(run_dir / kind))
      if (fs::exists(folder / "experiment.yaml")) runs.push_back(folder);
  return runs;
}

/// What is wrong with a file that the ledger has a digest of; nothing where it is good or was never recorded.
std::string problem_of(const fs::path& path, const std::string& wanted) {
  if (wanted.empty()) return {};
  if (!fs::exists(path)) return fmt::format("{} is missing", path.string());
  const std::string found = sha256_of_file(path);
  if (found == wanted) return {};
  return fmt::format("{} has SHA-256 {} where the ledger says {}", path.string(), found, wanted);
}

}  // namespace

json verify_run(const fs::path& run_dir, const LedgerExpectation& expected, int threads) {
  if (!fs::exists(run_dir / "experiment.yaml"))
    throw Error{ExitCode::usage, "there is no run here", run_dir.string(),
                "name the run's directory, such as runs/quickstart"};
  json first_bad, notes = json::array(), checkpoints = json::array();
  const auto bad = [&](const std::string& what) {
    if (first_bad.is_null()) first_bad = what;
  };
  const std::vector<fs::path> within = runs_within(run_dir);
  // A cross-validation is its folds: it has nothing of its own to record.
  const bool is_only_folds = !within.empty() && fs::exists(run_dir / "folds") && !fs::exists(run_dir / "checkpoints") &&
                             !fs::exists(run_dir / kLedgerName);
  const LedgerCheck ledger = is_only_folds ? LedgerCheck{} : check_ledger_file(run_dir / kLedgerName, expected);
  if (ledger.first_bad)
    bad(fmt::format("{}:{}: record {}: {}", (run_dir / kLedgerName).string(), *ledger.first_bad + 1, *ledger.first_bad,
                    ledger.fact));
  if (ledger.torn_bytes > 0)
    notes.push_back(fmt::format("the ledger ends with {} bytes of a record that a crash cut short", ledger.torn_bytes));

  const Recorded last = recorded(ledger);
  std::int64_t bytes = 0;
  const auto steps = checkpoint_steps(run_dir / "checkpoints");
  for (const std::int64_t step : steps) {
    json one = {{"step", step}, {"ok", true}};
    try {
      const Checkpoint checkpoint = Checkpoint::open(run_dir / "checkpoints", step);
      const std::int64_t here = checkpoint.verify(threads);
      one["bytes"] = here;
      bytes += here;
      const auto record = last.manifests.find(step);
      if (record == last.manifests.end() && step != steps.back())
        throw Error{ExitCode::damaged, "the ledger knows of no such checkpoint", checkpoint.folder().string()};
      if (record == last.manifests.end())
        notes.push_back(fmt::format("step {} is not in the ledger: the run ended in between, or is writing it", step));
      else if (record->second != checkpoint.digest())
        throw Error{
            ExitCode::damaged,
            fmt::format("the manifest's SHA-256 is {} where the ledger says {}: another checkpoint of this step",
                        checkpoint.digest(), record->second),
            checkpoint.folder().string()};
    } catch (const Error& error) {
      one["ok"] = false;
      one["fact"] = fmt::format("{}: {}", error.where(), error.fact());
      bad(one["fact"].get<std::string>());
    }
    checkpoints.push_back(std::move(one));
  }
  for (const fs::path& stage : folders_in(run_dir / "stages"))  // what SAP has made on the way
    for (const std::int64_t step : checkpoint_steps(stage)) try {
        bytes += Checkpoint::open(stage, step).verify(threads);
      } catch (const Error& error) {
        bad(fmt::format("{}: {}", error.where(), error.fact()));
      }
  for (const std::string& problem :
       {problem_of(run_dir / "experiment.yaml", last.experiment), problem_of(run_dir / "summary.json", last.summary)})
    if (!problem.empty()) bad(problem);
  json runs = json::array();
  for (const fs::path& one : within) {
    json result = verify_run(one, {.signer = expected.signer}, threads);
    if (!result.at("ok").get<bool>()) bad(result.at("first_bad").get<std::string>());
    bytes += result.at("checked_bytes").get<std::int64_t>();
    result["run"] = fs::relative(one, run_dir).string();
    runs.push_back(std::move(result));
  }
  return {
      {"ok", first_bad.is_null()},        {"first_bad", first_bad},     {"checked_bytes", bytes}, {"head", ledger.head},
      {"records", ledger.records.size()}, {"checkpoints", checkpoints}, {"notes", notes},         {"runs", runs}};
}

}  // namespace swallowtail
