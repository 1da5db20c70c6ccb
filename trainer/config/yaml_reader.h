// Strict YAML: yaml-cpp finds the events, this room refuses what YAML parsers are known to get wrong in silence
// (RELIABILITY section 4). Every refusal is a usage Error with file:line:column.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "trainer/config/node.h"

namespace swallowtail::config {

inline constexpr std::size_t kMostBytes = 1 << 20;      // of a file
inline constexpr std::size_t kMostDepth = 64;           // of maps and lists within each other
inline constexpr std::size_t kMostAliasedNodes = 1000;  // that all aliases of a file together may stand for

/// One YAML document. Errors: larger than kMostBytes, not UTF-8, control characters, a tab in the indentation, empty,
/// more than one document, duplicate keys, keys that are not scalars, `<<`, tags, aliases within their own anchor or
/// beyond kMostAliasedNodes, deeper than kMostDepth, and all that yaml-cpp calls a syntax error.
Node read_yaml(std::string_view text, const std::shared_ptr<const Source>& source);

/// The part of read_yaml() that looks at bytes alone: UTF-8, control characters, tabs in the indentation.
void check_bytes(std::string_view text, const std::shared_ptr<const Source>& source);

/// The bytes of a regular file of at most kMostBytes. `place` is where the file was asked for, or empty.
/// Errors: missing, a directory or another kind of file, unreadable, too large.
std::string read_text(const std::filesystem::path& file, const std::string& place = {});

}  // namespace swallowtail::config
