// One parser under attack: what reads the bytes, and the good inputs that damage begins with. The same targets are run
// by libFuzzer (libfuzzer_main.cpp) and, without clang, by our own damage (mutation_main.cpp).
#pragma once

#include <algorithm>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/error.h"

namespace swallowtail::fuzz {

enum class Verdict { taken, refused };

struct Target {
  std::string_view name;
  /// Reads `input` as a file of its kind. Another end than these two verdicts is a bug: it calls broken(), throws, or
  /// crashes.
  Verdict (*judge)(std::string_view input);
  /// Inputs that must be taken.
  std::vector<std::string> (*seeds)();
};

std::span<const Target> config_targets();
std::span<const Target> data_targets();
std::span<const Target> interaction_targets();
std::span<const Target> content_targets();
std::span<const Target> checkpoint_targets();
/// All of them.
std::vector<Target> targets();
/// Null where there is none of that name.
const Target* find_target(std::string_view name);

/// A promise was not kept: says so and aborts, which is what fuzzers look for.
[[noreturn]] void broken(std::string_view promise);

inline void expect(bool holds, std::string_view promise) {
  if (!holds) broken(promise);
}

/// Refused where `read` throws an Error with one of the codes, which must be one line that names a place.
template <typename Read>
Verdict taken_unless(std::initializer_list<ExitCode> codes, Read read) {
  try {
    read();
    return Verdict::taken;
  } catch (const Error& error) {
    const std::string message = error.message();
    if (std::find(codes.begin(), codes.end(), error.code()) == codes.end()) broken("another exit code: " + message);
    expect(message.find('\n') == std::string::npos, "an error is one line: " + message);
    expect(!error.where().empty(), "an error names its place: " + message);
    return Verdict::refused;
  }
}

}  // namespace swallowtail::fuzz
