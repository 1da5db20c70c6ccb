// Reads the keys of a YAML map that the experiment's schema does not know (cluster files, published results), as
// strictly.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "parallel/error.h"
#include "trainer/config/nearest.h"
#include "trainer/config/node.h"
#include "trainer/config/value.h"

namespace swallowtail::config {

/// Borrows the section.
class SectionReader {
 public:
  SectionReader(const Node& section, std::string path) : section_(section), path_(std::move(path)) {
    if (section.shape != Node::Shape::map)
      throw Error{ExitCode::usage, fmt::format("{} must be a map", path_), section.place.words()};
  }

  /// Errors: usage where the key is missing or its value wrong.
  double number(std::string_view key, Range range) { return read<double>(key, Kind::number, range); }
  double number_or(std::string_view key, Range range, double fallback) {
    return find(key) ? number(key, range) : fallback;
  }
  int integer(std::string_view key) {
    return static_cast<int>(read<std::int64_t>(key, Kind::integer, between(1, 1 << 20)));
  }
  std::string text(std::string_view key) { return read<std::string>(key, Kind::text, {}); }
  const Node& section(std::string_view key) {
    const Node* const found = find(key);
    if (!found) missing(key);
    return *found;
  }

  /// Errors: usage at the first key that nobody asked for, with the nearest that somebody did.
  void finish() const {
    for (const auto& entry : section_.entries)
      if (std::ranges::find(known_, entry.key) == known_.end())
        throw Error{ExitCode::usage, fmt::format("unknown key {} in {}", in_quotes(entry.key), path_),
                    entry.key_place.words(), did_you_mean(entry.key, known_)};
  }

 private:
  const Node* find(std::string_view key) {
    known_.push_back(key);
    for (const auto& entry : section_.entries)
      if (entry.key == key) return &entry.value;
    return nullptr;
  }
  [[noreturn]] void missing(std::string_view key) const {
    throw Error{ExitCode::usage, fmt::format("{} has no {}", path_, key), section_.place.words(),
                "configs/clusters/h100.yaml shows a whole one"};
  }
  template <typename T>
  T read(std::string_view key, Kind kind, Range range) {
    const Node* const found = find(key);
    if (!found) missing(key);
    const Key rule{.path = key, .kind = kind, .range = range};
    return std::get<T>(parse_value(rule, *found, fmt::format("{}.{}", path_, key)));
  }

  const Node& section_;
  const std::string path_;
  std::vector<std::string_view> known_;
};

}  // namespace swallowtail::config
