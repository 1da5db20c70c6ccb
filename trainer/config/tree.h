// The validated experiment behind every Section: one entry a key, named by its full path, defaults included.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "trainer/config/node.h"
#include "trainer/config/schema.h"
#include "trainer/config/value.h"

namespace swallowtail::config {

struct Entry {
  const SchemaNode* schema = nullptr;
  Value value;                     // of a key
  std::size_t size = 0;            // elements of a list of maps
  std::vector<std::string> names;  // of a map of named maps, in the file's order
  std::string place;
  bool is_set = false;
};

struct Tree {
  std::map<std::string, Entry, std::less<>> entries;  // "model.embedding_dim", "data.tables[3].rows", "data.tables"

  const Entry& at(std::string_view path) const;  // std::logic_error where the schema lacks the path
};

/// Checks a composed tree against the schema and fills in the defaults; `default_name` becomes the run's name where
/// none is set. Errors: usage at the place of an unknown key (with the nearest known one), of a wrong value, or of a
/// section that lacks a required key.
Tree resolve(Node root, const std::string& default_name);

/// The tree as YAML that resolves to an equal one.
std::string to_yaml(const Tree& tree);

}  // namespace swallowtail::config
