// The schema of the experiment file: every key stands here once, in schema_data.cpp,
// schema_interactions.cpp, schema_model.cpp, schema_ranking.cpp, schema_sap.cpp, schema_search.cpp, schema_text.cpp or
// schema_train.cpp. Validation (resolve.h), defaults, to_yaml(), --help-config and configs/REFERENCE.md (reference.h) are
// made from it.
#pragma once

#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace swallowtail::config {

enum class Kind { boolean, integer, number, text, choice, path, paths, integers, numbers, texts };

/// The values that a number, or each number of a list, may take.
struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool is_low_excluded = false;
  bool is_high_excluded = false;

  bool contains(double value) const;
  /// "at least 1", "from 0 to 0.9", "above 0 and below 1"; empty where anything goes.
  std::string words() const;
};
constexpr Range at_least(double low) { return {.low = low}; }
constexpr Range above(double low) { return {.low = low, .is_low_excluded = true}; }
constexpr Range between(double low, double high) { return {.low = low, .high = high}; }
constexpr Range from_below(double low, double high) { return {.low = low, .high = high, .is_high_excluded = true}; }
constexpr Range inside(double low, double high) {
  return {.low = low, .high = high, .is_low_excluded = true, .is_high_excluded = true};
}

/// How many characters a text, or elements a list, may have.
struct Length {
  std::size_t low = 0;
  std::size_t high = std::numeric_limits<std::size_t>::max();
};

constexpr std::string_view kRequired{};  // default_value of a key that the user must set

struct Key {
  std::string_view path;  // "data.tables[].rows" in a list of maps, "embedding.tables.*.dim" in a map of named maps
  Kind kind = Kind::text;
  std::string_view default_value = kRequired;  // as YAML; "null" makes the key optional
  std::string_view meaning = {};               // one line
  std::string_view unit = {};
  Range range = {};
  std::vector<std::string_view> choices = {};
  Length length = {};

  bool is_required() const { return default_value.empty(); }
  bool is_optional() const { return default_value == "null"; }
};

/// A section as the reference page shows it. `example` is one line of YAML that can be pasted into an experiment.
struct SectionPage {
  std::string_view path;  // "model"; empty for the root
  std::string_view meaning;
  std::string_view example;
};

std::span<const Key> data_keys();
std::span<const Key> interaction_keys();
std::span<const Key> ranking_keys();
std::span<const Key> sap_keys();
std::span<const Key> text_keys();
std::span<const Key> model_keys();
std::span<const Key> train_keys();
std::span<const Key> search_keys();

/// Top-level sections in the order of the page, the root first.
std::span<const SectionPage> section_pages();

/// One place of the schema's tree.
struct SchemaNode {
  enum class Shape { section, list, named, key };  // list: of maps; named: a map of maps under names of the user's
  Shape shape = Shape::section;
  std::string name;                                   // last component, without "[]"
  const Key* key = nullptr;                           // of Shape::key
  std::vector<std::unique_ptr<SchemaNode>> children;  // in schema order; of list and named: the keys of each map

  const SchemaNode* child(std::string_view child_name) const;  // nullptr where there is none
  std::vector<std::string_view> child_names() const;
};

/// The whole schema as a tree and as a list; built once.
const SchemaNode& schema();
const std::vector<const Key*>& all_keys();

/// "integer", "list of texts", "one of dot, cat", …
std::string type_words(const Key& key);

}  // namespace swallowtail::config
