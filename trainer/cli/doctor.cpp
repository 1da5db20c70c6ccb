#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "trainer/cli/command.h"
#include "trainer/cli/doctor_checks.h"
#include "trainer/training/threads.h"

namespace swallowtail::cli {
namespace {

constexpr double kTimeout_s = 60;
constexpr std::array kStatusNames{"ok", "warn", "fail"};

Outcome run(const Arguments& arguments, Ranks& ranks) {
  if (!arguments.rest().empty() || !arguments.overrides().empty())
    throw Error{ExitCode::usage, "doctor takes no experiment", "command line", "swallowtail doctor"};
  Communicator& all = ranks.connect(kTimeout_s);
  const auto findings = examine_machine(all.node_local_ranks(), cores_of_ranks(all));
  const bool is_ok = std::ranges::none_of(findings, [](const Finding& f) { return f.status == Status::fail; });
  Outcome outcome{.json = {{"ok", is_ok}, {"findings", nlohmann::json::array()}}};
  for (const Finding& finding : findings) {
    const char* status = kStatusNames[static_cast<std::size_t>(finding.status)];
    outcome.json["findings"].push_back(
        {{"name", finding.name}, {"status", status}, {"value", finding.value}, {"advice", finding.advice}});
    outcome.text += fmt::format("{:<5} {:<14} {}\n", status, finding.name, finding.value);
    if (!finding.advice.empty()) outcome.text += fmt::format("{:<20} -> {}\n", "", finding.advice);
  }
  if (!is_ok) outcome.exit_code = ExitCode::resources;
  return outcome;
}

}  // namespace

const Command kDoctor{.name = "doctor",
                      .summary = "looks at the machine and says what to fix",
                      .usage = "[flags]",
                      .flags = {},
                      .notes = "Under mpirun it looks at the machine of rank 0. Exit code 7 when a finding is 'fail'.",
                      .examples = "swallowtail doctor\nmpirun -n 4 swallowtail doctor --json",
                      .run = run};

}  // namespace swallowtail::cli
