#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "trainer/cli/command.h"
#include "trainer/config/nearest.h"

namespace swallowtail::cli {
namespace {

constexpr std::array kCommonFlags{
    Flag{"json", "", "one JSON object on standard output, nothing else there"},
    Flag{"help", "", "this text"},
};

// An explicit list: objects that register themselves vanish from static libraries.
const std::array kCommands{&kTrain,  &kTune, &kEvaluate, &kRecommend, &kVerify,   &kBench,
                           &kDoctor, &kPlan, &kExport,   &kAblate,    &kColdUsers};

std::string indented(std::string_view lines, std::string_view indent) {
  std::string text;
  while (!lines.empty()) {
    const auto end = std::min(lines.find('\n'), lines.size());
    text += fmt::format("{}{}\n", indent, lines.substr(0, end));
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
  return text;
}

}  // namespace

std::span<const Command> commands() {
  static const std::vector<Command> all = [] {
    std::vector<Command> copies;
    for (const Command* command : kCommands) copies.push_back(*command);
    return copies;
  }();
  return all;
}

const Command& find_command(std::string_view name) {
  std::vector<std::string_view> names;
  for (const Command& command : commands()) {
    if (command.name == name) return command;
    names.push_back(command.name);
  }
  throw Error{ExitCode::usage, fmt::format("unknown command '{}'", name), "command line", did_you_mean(name, names)};
}

std::string help() {
  std::string text =
      "swallowtail trains recommenders on one core or many ranks.\n\n"
      "usage: [mpirun -n RANKS] swallowtail COMMAND [EXPERIMENT.yaml] [section.key=value ...] [--flag "
      "...]\n\ncommands:\n";
  for (const Command& command : commands()) text += fmt::format("  {:<10} {}\n", command.name, command.summary);
  text +=
      "\nflags:\n"
      "  --help     this text; swallowtail COMMAND --help tells more of one command\n"
      "  --version  the version\n\n"
      "examples:\n"
      "  swallowtail train configs/quickstart.yaml\n"
      "  mpirun -n 2 swallowtail train configs/quickstart.yaml train.epochs=2 run.dir=runs/short\n"
      "  swallowtail evaluate runs/quickstart --split test\n"
      "  swallowtail doctor\n\n"
      "exit codes: 0 done, 2 usage or configuration, 3 data, 4 numbers went bad, 5 a rank failed, 6 damaged "
      "checkpoint,\n"
      "            7 out of memory or disk, 75 stopped on request with a checkpoint saved\n";
  return text;
}

std::string help(const Command& command) {
  std::string text = fmt::format("swallowtail {}: {}\n\nusage: swallowtail {} {}\n\nflags:\n", command.name,
                                 command.summary, command.name, command.usage);
  std::vector<Flag> flags(command.flags.begin(), command.flags.end());
  flags.insert(flags.end(), kCommonFlags.begin(), kCommonFlags.end());
  for (const Flag& flag : flags) {
    const std::string shown = fmt::format("--{}{}{}", flag.name, flag.value.empty() ? "" : " ", flag.value);
    text += fmt::format("  {:<24} {}\n", shown, flag.meaning);
  }
  if (!command.notes.empty()) text += "\n" + indented(command.notes, "");
  return text + "\nexamples:\n" + indented(command.examples, "  ");
}

}  // namespace swallowtail::cli
