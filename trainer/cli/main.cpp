// The program: finds the command, starts the ranks, prints what the command leaves, and gives every failure its line.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include "kernels/isa.h"
#include "trainer/cli/command.h"
#include "trainer/cli/failure.h"
#include "trainer/config/reference.h"
#include "trainer/device/device_trainer.h"

namespace swallowtail::cli {
namespace {

/// A thread that lets an exception escape ends here: with the line, and with all ranks.
[[noreturn]] void end_without_handler() {
  static std::atomic<bool> is_ending{false};
  if (is_ending.exchange(true) || !std::current_exception()) std::abort();
  const Failure failure = describe_failure(std::current_exception(), MpiSession::whereabouts());
  if (MpiSession::claim_failure(true)) report_failure(failure, false);
  MpiSession::abort(failure.exit_code);
}

/// Standard output is the answer: a full disk or closed pipe behind it is a failure, not silence.
void print_answer(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw Error{ExitCode::resources, "cannot write", "standard output", "make room, or keep the reader open"};
}

int run(const Command& command, const Arguments& arguments) {
  const bool as_json = arguments.has("json");
  Ranks ranks;
  try {
    const Outcome outcome = command.run(arguments, ranks);
    if (ranks.rank() == 0) {
      if (as_json)
        print_answer(outcome.json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
      else
        fmt::print(stderr, "{}", outcome.text);
    }
    return static_cast<int>(outcome.exit_code);
  } catch (...) {
    const Failure failure = describe_failure(std::current_exception(), MpiSession::whereabouts());
    // All ranks stop at the same step, so each may leave in peace. Any other failure may be one rank's alone.
    const bool is_shared = failure.exit_code == static_cast<int>(ExitCode::stopped);
    // At once: the other ranks wait for this one, and when their time is up they know less of the cause.
    if (is_shared ? ranks.rank() == 0 : MpiSession::claim_failure(true)) report_failure(failure, as_json);
    if (!is_shared && ranks.world_size() > 1) MpiSession::abort(failure.exit_code);
    return failure.exit_code;
  }
}

int start(const std::vector<std::string>& words) {
  const bool is_speaker = rank_from_environment() == 0;
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    if (is_speaker) print_answer(help());
    return 0;
  }
  if (words[0] == "--version") {
    if (is_speaker) print_answer(fmt::format("swallowtail {}\n", SWALLOWTAIL_VERSION));
    return 0;
  }
  if (const auto refusal = isa_refusal())
    throw Error{ExitCode::usage, *refusal, "environment",
                "leave SWALLOWTAIL_ISA out for the best that the machine has"};
  const Command& command = find_command(words[0]);
  std::vector<Flag> flags(command.flags.begin(), command.flags.end());
  flags.push_back({"json", "", ""});
  flags.push_back({"help", "", ""});
  std::vector<std::string> rest(words.begin() + 1, words.end());
  for (std::string& word : rest)
    if (word == "-h") word = "--help";
  const auto arguments = Arguments::parse(command.name, flags, rest);
  if (arguments.has("help") || arguments.has("help-config")) {
    if (is_speaker) print_answer(arguments.has("help") ? help(command) : help_config());
    return 0;
  }
  return run(command, arguments);
}

}  // namespace
}  // namespace swallowtail::cli

int main(int argc, char** argv) {
  using namespace swallowtail::cli;
  std::set_terminate(end_without_handler);
  swallowtail::use_devices();
  const std::vector<std::string> words(argv + 1, argv + argc);
  try {
    return start(words);
  } catch (...) {  // before the ranks were started
    const Failure failure = describe_failure(std::current_exception());
    const bool as_json = std::find(words.begin(), words.end(), "--json") != words.end();
    // Often all ranks fail alike: by then rank 0 has printed and ended the run, unless it did not fail.
    const int rank = rank_from_environment();
    if (rank != 0) std::this_thread::sleep_for(std::chrono::milliseconds(4000 + std::min(rank, 20) * 50));
    report_failure(failure, as_json);
    return failure.exit_code;
  }
}
