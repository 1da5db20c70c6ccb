#include "trainer/cli/verify_run.h"

#include <fmt/format.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "trainer/checkpoint/canonical_json.h"
#include "trainer/checkpoint/verify_run.h"
#include "trainer/cli/report_text.h"
#include "trainer/files/durable_file.h"

namespace swallowtail::cli {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

void write_merged(const fs::path& path, const std::vector<std::string>& runs, const LedgerExpectation& expected) {
  std::vector<std::pair<std::string, LedgerCheck>> ledgers;
  for (const std::string& run : runs)
    ledgers.emplace_back(run, check_ledger_file(fs::path(run) / kLedgerName, expected));
  std::string text;
  for (const MergedRecord& merged : merge_ledgers(ledgers))
    text += canonical_json({{"ledger", merged.ledger},
                            {"seq", merged.record.seq},
                            {"time", merged.record.time},
                            {"kind", merged.record.kind},
                            {"payload", merged.record.payload},
                            {"hash", merged.record.hash}}) +
            "\n";
  write_atomically(path, text);
}

}  // namespace

Outcome verify_runs(const Arguments& arguments) {
  const std::vector<std::string>& runs = arguments.rest();
  LedgerExpectation expected{.head = arguments.value("against")};
  if (!expected.head.empty() && runs.size() > 1)
    throw Error{ExitCode::usage, "--against is the head of one ledger, and several runs were given", "command line",
                "verify one run at a time"};
  if (const std::string key = arguments.value("key"); !key.empty()) expected.signer = public_key_of(key);
  Outcome outcome;
  auto all = json::array();
  const int threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  for (const std::string& run : runs) {
    const auto start = std::chrono::steady_clock::now();
    json result = verify_run(run, expected, threads);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    result["run"] = run;
    result["seconds"] = seconds;
    for (const json& note : result.at("notes"))
      outcome.text += fmt::format("swallowtail: {}\n", note.get<std::string>());
    if (result.at("ok").get<bool>()) {
      const std::size_t within = result.at("runs").size();
      outcome.text += fmt::format(
          "swallowtail: {}: {} records and {} checkpoints{} are good, {} in {:.2f} s; head {}\n", run,
          result.at("records").get<int>(), result.at("checkpoints").size(),
          within > 0 ? fmt::format(", and {} runs within,", within) : "",
          human_bytes(result.at("checked_bytes").get<double>()), seconds, result.at("head").get<std::string>());
    } else {
      outcome.exit_code = ExitCode::damaged;
      outcome.text += fmt::format("swallowtail: {}: BAD: {}\n", run, result.at("first_bad").get<std::string>());
    }
    all.push_back(std::move(result));
  }
  if (const std::string merged = arguments.value("merge"); !merged.empty() && outcome.exit_code == ExitCode::done)
    write_merged(merged, runs, expected);
  outcome.json = runs.size() == 1 ? all[0] : json{{"ok", outcome.exit_code == ExitCode::done}, {"runs", all}};
  return outcome;
}

}  // namespace swallowtail::cli
