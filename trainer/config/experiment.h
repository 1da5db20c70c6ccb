// An experiment: the YAML file, its `extends` chain and the overrides, validated against the schema (schema.h) with all
// defaults filled in. Immutable once loaded; any number of threads may read it.
// Keys are named by their full path: "model.embedding_dim". Asking for a key that the schema lacks is a bug (assert).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/error.h"

namespace swallowtail {

namespace config {
struct Tree;  // the validated tree, in experiment.cpp's room
}

/// A section of the tree: the root, "data.tables[3]", "embedding.tables.income", … Cheap to copy; shares the tree.
class Section {
 public:
  bool has(std::string_view key) const;  // false where the value is null (an optional key that nobody set)
  bool boolean(std::string_view key) const;
  std::int64_t integer(std::string_view key) const;
  double number(std::string_view key) const;
  std::string text(std::string_view key) const;            // text and choice keys
  std::filesystem::path path(std::string_view key) const;  // made absolute relative to the file that set it
  std::vector<std::int64_t> integers(std::string_view key) const;
  std::vector<double> numbers(std::string_view key) const;
  std::vector<std::string> texts(std::string_view key) const;
  std::vector<std::filesystem::path> paths(
      std::string_view key) const;                            // one path or a list; globs are kept as written
  std::vector<Section> sections(std::string_view key) const;  // list of maps, e.g. data.tables
  std::map<std::string, Section> named_sections(std::string_view key) const;  // map of maps, e.g. embedding.tables
  /// Whether the user (file, extends or override) set it, as opposed to the default.
  bool is_set(std::string_view key) const;
  /// "file:line:column" of the value (or "default of KEY", or "command line" for an override).
  std::string place(std::string_view key) const;
  /// A usage error at the key's place, to throw where a later check finds the value wrong.
  Error error(std::string_view key, std::string what, std::string advice = {}) const;

 protected:
  friend class Experiment;
  std::shared_ptr<const config::Tree> tree_;
  std::string prefix_;  // "" for the root, else ends in '.'
};

class Experiment : public Section {
 public:
  /// Reads `file`, follows `extends`, applies `overrides` ("section.key=value", later wins), validates, fills defaults.
  /// Errors: ExitCode::usage with file:line:column and the nearest known key or value.
  static Experiment load(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});
  /// The same from text, for tests; `name` stands in error places; relative paths are relative to `directory`.
  static Experiment parse(std::string_view yaml, const std::vector<std::string>& overrides = {},
                          std::string_view name = "experiment.yaml", const std::filesystem::path& directory = ".");
  /// Everything resolved, defaults included, as YAML that load() reads back to an equal experiment (absolute paths).
  std::string to_yaml() const;
};

}  // namespace swallowtail
