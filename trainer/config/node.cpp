#include "trainer/config/node.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

namespace swallowtail::config {

std::string Place::words() const {
  if (!source) return {};
  return source->is_command_line ? source->name : fmt::format("{}:{}:{}", source->name, line, column);
}

Node* Node::find(std::string_view key) {
  for (auto& entry : entries)
    if (entry.key == key) return &entry.value;
  return nullptr;
}

std::size_t Node::count() const {
  std::size_t nodes = 1;
  for (const auto& item : items) nodes += item.count();
  for (const auto& entry : entries) nodes += entry.value.count();
  return nodes;
}

std::size_t Node::depth() const {
  std::size_t below = 0;
  for (const auto& item : items) below = std::max(below, item.depth());
  for (const auto& entry : entries) below = std::max(below, entry.value.depth());
  return below + 1;
}

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += c;
  }
  return out;
}

std::string in_quotes(std::string_view word) {
  constexpr std::size_t kMost = 60;
  std::size_t end = std::min(word.size(), kMost);
  while (end < word.size() && end > 0 && (static_cast<unsigned char>(word[end]) & 0xC0) == 0x80) --end;  // whole UTF-8
  return "'" + printable(word.substr(0, end)) + (end < word.size() ? "…'" : "'");
}

void merge(Node& base, Node over) {
  if (base.shape == Node::Shape::map && over.shape == Node::Shape::null) return;
  if (base.shape != Node::Shape::map || over.shape != Node::Shape::map) {
    base = std::move(over);
    return;
  }
  std::unordered_map<std::string, std::size_t> at;  // a file may hold tens of thousands of named sections
  for (std::size_t i = 0; i < base.entries.size(); ++i) at.emplace(base.entries[i].key, i);
  for (auto& entry : over.entries) {
    const auto found = at.find(entry.key);
    if (found == at.end()) {
      base.entries.push_back(std::move(entry));
    } else {
      auto& target = base.entries[found->second];
      target.key_place = entry.key_place;
      merge(target.value, std::move(entry.value));
    }
  }
}

}  // namespace swallowtail::config
