// The tree of a YAML text before it is checked against the schema. Every node knows where it was written.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/error.h"

namespace swallowtail::config {

/// A text that was read: a file, or the overrides of the command line.
struct Source {
  std::string name;                 // as it stands in error places
  std::filesystem::path directory;  // absolute; relative paths of this source start here
  bool is_command_line = false;
};

struct Place {
  std::shared_ptr<const Source> source;
  int line = 0, column = 0;  // 1-based

  /// "file:line:column", or "command line".
  std::string words() const;
};

struct MapEntry;

struct Node {
  enum class Shape { null, scalar, list, map };
  Shape shape = Shape::null;
  std::string text = {};          // of a scalar
  bool is_quoted = false;         // a scalar in quotes or a block is text, whatever it looks like
  std::vector<Node> items = {};   // of a list
  std::vector<MapEntry> entries;  // of a map, in the order of the file; of a type to come, so not "= {}"
  Place place = {};

  bool is_plain_scalar() const { return shape == Shape::scalar && !is_quoted; }
  Node* find(std::string_view key);  // the value of a map's key, or nullptr
  std::size_t count() const;         // nodes of the whole tree under it, itself included
  std::size_t depth() const;         // 1 for a scalar or an empty collection
};

struct MapEntry {
  std::string key;
  Place key_place;
  Node value;
};

/// Control characters as escapes, so that a message stays one line.
std::string printable(std::string_view text);

/// A word of the user's for a message: printable, in quotes, cut after 60 bytes.
std::string in_quotes(std::string_view word);

/// Deep merge of `over` into `base`: maps merge, everything else is replaced. A null over a map leaves it as it is, so
/// that a section whose keys are all commented out does not erase the one it extends.
void merge(Node& base, Node over);

}  // namespace swallowtail::config
