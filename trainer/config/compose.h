// From files and overrides to one Node tree: `extends` chains and `section.key=value`, before any validation.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/config/node.h"
#include "trainer/config/schema.h"

namespace swallowtail::config {

/// The key that names the file an experiment builds on. It composes and is not part of the experiment itself.
const Key& extends_key();

/// The tree of a file over the one it extends, and so on. Errors: those of the reader; a cycle; more than 16 files.
Node compose_file(const std::filesystem::path& file);

/// The same from text. `name` stands in error places; relative paths start in `directory`.
Node compose_text(std::string_view yaml, std::string_view name, const std::filesystem::path& directory);

/// Merges overrides over the tree, in their order. `a.b.c=VALUE` names a key as the schema does,
/// `data.tables[0].rows=5` an element that a list already has, `embedding.tables.NAME.dim=8` a name that may hold dots.
/// The value of a key that takes one scalar is taken as it stands (or unquoted, where it is in quotes); other values
/// are read as YAML. Errors: no `=`, an element that is not there, a value that is not YAML. Unknown keys are left to
/// the validation.
void apply_overrides(Node& root, const std::vector<std::string>& overrides);

}  // namespace swallowtail::config
