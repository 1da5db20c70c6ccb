// One value of an experiment: parsed from a scalar or list of YAML by the rules of its key.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "trainer/config/node.h"
#include "trainer/config/schema.h"

namespace swallowtail::config {

/// Text, choice and path are a string; paths and texts are strings. monostate is the null of an optional key.
/// Paths are absolute.
using Value = std::variant<std::monostate, bool, std::int64_t, double, std::string, std::vector<std::int64_t>,
                           std::vector<double>, std::vector<std::string>>;

/// The value of `node` as `key` wants it. `path` is the key's full path, for messages ("data.tables[3].rows").
/// Numbers are read by std::from_chars over the whole scalar. `10e3` is an integer too; `010`, `0x10`, `1_000`, `nan`
/// and `inf` are refused. Text and paths may hold ${NAME} of the environment; `$${` stands for `${`.
/// Errors: usage at the node's place, for a wrong type, a value out of range or an unknown choice.
Value parse_value(const Key& key, const Node& node, const std::string& path);

/// The default of a key that is not required.
Value default_value(const Key& key);

/// `text` with every ${NAME} replaced. Errors: usage where the variable is not set or the braces do not close.
std::string expand_environment(const std::string& text, const Place& place);

/// An absolute path: relative ones start in the directory of the file that wrote them. Globs stay as they are.
std::string absolute_path(const std::string& text, const Place& place);

}  // namespace swallowtail::config
