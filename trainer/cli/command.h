// The commands of the program: one file each, one line each in commands.cpp.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "parallel/error.h"
#include "trainer/cli/arguments.h"
#include "trainer/cli/ranks.h"

namespace swallowtail::cli {

/// What a command that did not throw leaves behind. The same on every rank; only rank 0's is printed.
struct Outcome {
  nlohmann::json json;  // all of standard output under --json
  std::string text;     // for people, on standard error, without --json; empty: nothing
  ExitCode exit_code = ExitCode::done;
};

struct Command {
  std::string_view name;
  std::string_view summary;     // one line, lower case
  std::string_view usage;       // what follows "swallowtail NAME"
  std::span<const Flag> flags;  // beside --json and --help, which all have
  std::string_view notes;       // more lines for --help
  std::string_view examples;    // one a line
  Outcome (*run)(const Arguments& arguments, Ranks& ranks);
};

std::span<const Command> commands();
/// Errors: usage, with the nearest known name.
const Command& find_command(std::string_view name);

std::string help();                        // swallowtail --help
std::string help(const Command& command);  // swallowtail NAME --help

extern const Command kTrain, kTune, kEvaluate, kRecommend, kVerify, kBench, kDoctor, kPlan, kExport, kAblate,
    kColdUsers;

}  // namespace swallowtail::cli
