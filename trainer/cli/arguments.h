// What the user typed after the command's name, taken apart: flags, overrides (`section.key=value`) and the rest.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace swallowtail::cli {

struct Flag {
  std::string_view name;     // without the dashes
  std::string_view value;    // what the help calls its value: "FILE"; empty for a switch
  std::string_view meaning;  // one line
};

class Arguments {
 public:
  /// `words` stand after the command's name. A word is an override when it starts with a letter and has a '=' before
  /// any '/'; so a file called a=b is given as ./a=b.
  /// Errors: usage; an unknown flag is answered with the nearest known one.
  static Arguments parse(std::string_view command, std::span<const Flag> flags, std::span<const std::string> words);

  bool has(std::string_view flag) const;
  /// The last value given, or `fallback`.
  std::string value(std::string_view flag, std::string_view fallback = {}) const;
  /// All values given, in order: --data a.csv --data b.csv.
  std::vector<std::string> values(std::string_view flag) const;
  const std::vector<std::string>& rest() const { return rest_; }
  const std::vector<std::string>& overrides() const { return overrides_; }
  /// As typed, for the record: "swallowtail train a.yaml seed=2".
  const std::string& command_line() const { return command_line_; }

 private:
  std::vector<std::pair<std::string, std::string>> flags_;  // name, value ("true" for a switch), as they stood
  std::vector<std::string> rest_, overrides_;
  std::string command_line_;
};

}  // namespace swallowtail::cli
