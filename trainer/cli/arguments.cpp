#include "trainer/cli/arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cxxopts.hpp>
#include <memory>

#include "parallel/error.h"
#include "trainer/config/nearest.h"

namespace swallowtail::cli {
namespace {

bool is_override(std::string_view word) {
  if (word.empty() || !(std::isalpha(static_cast<unsigned char>(word[0])) || word[0] == '_')) return false;
  const auto equals = word.find('=');
  return equals != std::string_view::npos && word.substr(0, equals).find('/') == std::string_view::npos;
}

std::string see_help(std::string_view command) { return fmt::format("see swallowtail {} --help", command); }

}  // namespace

Arguments Arguments::parse(std::string_view command, std::span<const Flag> flags, std::span<const std::string> words) {
  Arguments parsed;
  parsed.command_line_ = fmt::format("swallowtail {}", command);
  for (const std::string& word : words) parsed.command_line_ += " " + word;
  const auto takes_value = [&](std::string_view word) {
    return std::ranges::any_of(
        flags, [&](const Flag& flag) { return !flag.value.empty() && word == fmt::format("--{}", flag.name); });
  };

  // cxxopts knows no long flag of one letter, such as --k.
  const auto is_one_letter = [&](std::string_view word) {
    return word.size() >= 3 && word.starts_with("--") && (word.size() == 3 || word[3] == '=') &&
           std::ranges::any_of(flags, [&](const Flag& flag) { return flag.name == word.substr(2, 1); });
  };

  // cxxopts would split an override's value at its commas, so overrides never reach it.
  std::vector<std::string> kept{"swallowtail"};
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (takes_value(words[i])) {
      if (i + 1 == words.size() || words[i + 1].starts_with("--"))
        throw Error{ExitCode::usage, fmt::format("{} needs a value", words[i]), "command line", see_help(command)};
      if (is_one_letter(words[i]))
        parsed.flags_.emplace_back(words[i].substr(2), words[i + 1]);
      else
        kept.push_back(words[i] + "=" + words[i + 1]);
      ++i;
    } else if (is_one_letter(words[i]) && words[i].size() > 3) {
      parsed.flags_.emplace_back(words[i].substr(2, 1), words[i].substr(4));
    } else {
      (is_override(words[i]) ? parsed.overrides_ : kept).push_back(words[i]);
    }
  }

  cxxopts::Options options{"swallowtail"};
  options.allow_unrecognised_options();
  for (const Flag& flag : flags) {
    const std::shared_ptr<cxxopts::Value> kind = flag.value.empty()
                                                     ? std::shared_ptr<cxxopts::Value>(cxxopts::value<bool>())
                                                     : std::shared_ptr<cxxopts::Value>(cxxopts::value<std::string>());
    options.add_option("", "", std::string(flag.name), "", kind, "");
  }
  std::vector<const char*> argv;
  for (const std::string& word : kept) argv.push_back(word.c_str());
  try {
    const auto result = options.parse(static_cast<int>(argv.size()), argv.data());
    for (const auto& given : result.arguments()) parsed.flags_.emplace_back(given.key(), given.value());
    parsed.rest_ = result.unmatched();
  } catch (const cxxopts::exceptions::exception& error) {
    throw Error{ExitCode::usage, error.what(), "command line", see_help(command)};
  }

  for (const std::string& word : parsed.rest_) {
    if (word.size() < 2 || word[0] != '-') continue;
    std::vector<std::string> known;
    for (const Flag& flag : flags) known.push_back(fmt::format("--{}", flag.name));
    const std::vector<std::string_view> views(known.begin(), known.end());
    const std::string advice = did_you_mean(word.substr(0, word.find('=')), views);
    throw Error{ExitCode::usage, fmt::format("unknown flag '{}'", word), "command line",
                advice.empty() ? see_help(command) : advice};
  }
  return parsed;
}

bool Arguments::has(std::string_view flag) const {
  const std::string given = value(flag);
  return !given.empty() && given != "false";
}

std::string Arguments::value(std::string_view flag, std::string_view fallback) const {
  const auto all = values(flag);
  return all.empty() ? std::string(fallback) : all.back();
}

std::vector<std::string> Arguments::values(std::string_view flag) const {
  std::vector<std::string> found;
  for (const auto& [name, text] : flags_)
    if (name == flag) found.push_back(text);
  return found;
}

}  // namespace swallowtail::cli
