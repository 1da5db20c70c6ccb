#include <fmt/format.h>

#include <stdexcept>
#include <unordered_map>

#include "trainer/config/compose.h"
#include "trainer/config/nearest.h"
#include "trainer/config/tree.h"

namespace swallowtail::config {
namespace {

using Shape = SchemaNode::Shape;

constexpr std::size_t kLongestName = 200;  // of a table or column that the file names; yaml-cpp ends keys at 1,024

const Value& cached_default(const Key& key) {
  static const auto defaults = [] {
    std::unordered_map<const Key*, Value> values;
    for (const Key* known : all_keys())
      if (!known->is_required()) values.emplace(known, default_value(*known));
    return values;
  }();
  return defaults.at(&key);
}

class Resolver {
 public:
  Tree run(const Node& root) {
    section(schema(), &root, root.place, "");
    return std::move(tree_);
  }

 private:
  /// `node` is nullptr where nobody wrote the section; `place` is then that of the section around it.
  void section(const SchemaNode& known, const Node* node, const Place& place, const std::string& prefix) {
    if (node != nullptr && node->shape == Node::Shape::null) node = nullptr;
    if (node != nullptr) {
      require_shape(*node, Node::Shape::map, prefix.substr(0, prefix.size() - 1), "a map of keys");
      for (const auto& entry : node->entries)
        if (known.child(entry.key) == nullptr) unknown_key(known, entry, prefix);
    }
    for (const auto& child : known.children) {
      const Node* value = nullptr;
      if (node != nullptr)
        for (const auto& entry : node->entries)
          if (entry.key == child->name) value = &entry.value;
      const Place& near = value != nullptr ? value->place : node != nullptr ? node->place : place;
      const std::string path = prefix + child->name;
      auto& entry = tree_.entries[path];
      entry.schema = child.get();
      entry.is_set = value != nullptr;
      entry.place = value != nullptr ? value->place.words() : fmt::format("default of {}", path);
      switch (child->shape) {
        case Shape::key:
          entry.value = key_value(*child->key, value, near, path);
          break;
        case Shape::section:
          section(*child, value, near, path + '.');
          break;
        case Shape::list:
          if (value != nullptr && value->shape != Node::Shape::null) list(*child, *value, path, entry);
          break;
        case Shape::named:
          if (value != nullptr && value->shape != Node::Shape::null) named(*child, *value, path, entry);
          break;
      }
    }
  }

  static Value key_value(const Key& key, const Node* node, const Place& near, const std::string& path) {
    if (node != nullptr) return parse_value(key, *node, path);
    if (!key.is_required()) return cached_default(key);
    throw Error{ExitCode::usage, fmt::format("{} is not set", path), near.words(),
                fmt::format("set it: {}", type_words(key))};
  }

  void list(const SchemaNode& known, const Node& node, const std::string& path, Entry& entry) {
    require_shape(node, Node::Shape::list, path, "a list of maps");
    entry.size = node.items.size();
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const std::string element = fmt::format("{}[{}]", path, i);
      require_shape(node.items[i], Node::Shape::map, element, "a map of keys");
      section(known, &node.items[i], node.items[i].place, element + '.');
    }
  }

  void named(const SchemaNode& known, const Node& node, const std::string& path, Entry& entry) {
    require_shape(node, Node::Shape::map, path, "a map from names to maps of keys");
    for (const auto& [name, place, value] : node.entries) {
      if (name.empty() || name.size() > kLongestName)
        throw Error{ExitCode::usage, fmt::format("a name of {} characters in {}", name.size(), path), place.words(),
                    fmt::format("give a name of 1 to {} characters", kLongestName)};
      if (printable(name) != name)  // would break the lines of messages and reports
        throw Error{ExitCode::usage, fmt::format("a control character in the name {} in {}", in_quotes(name), path),
                    place.words(), "rename it"};
      entry.names.push_back(name);
      // `user: user_id` is short for `user: {name: user_id}`.
      const bool is_short = value.shape == Node::Shape::scalar && known.child("name") != nullptr;
      const Node whole{.shape = Node::Shape::map, .entries = {{"name", place, value}}, .place = value.place};
      section(known, is_short ? &whole : &value, value.place, fmt::format("{}.{}.", path, name));
    }
  }

  static void require_shape(const Node& node, Node::Shape shape, const std::string& path, std::string_view wanted) {
    if (node.shape == shape) return;
    const std::string got = node.shape == Node::Shape::scalar ? in_quotes(node.text)
                            : node.shape == Node::Shape::list ? "a list"
                            : node.shape == Node::Shape::map  ? "a map"
                                                              : "null";
    throw Error{ExitCode::usage, fmt::format("{} expects {}, got {}", path, wanted, got), node.place.words(),
                "see configs/REFERENCE.md"};
  }

  [[noreturn]] static void unknown_key(const SchemaNode& known, const MapEntry& entry, const std::string& prefix) {
    const std::string in = prefix.empty() ? "" : fmt::format(" in {}", prefix.substr(0, prefix.size() - 1));
    auto names = known.child_names();
    if (prefix.empty()) names.push_back(extends_key().path);
    std::string advice;
    if (const std::string near = nearest(entry.key, names); !near.empty()) {
      advice = fmt::format("did you mean '{}'?", near);
    } else if (const std::string elsewhere = full_path(entry.key); !elsewhere.empty()) {
      advice = fmt::format("did you mean '{}'? Keys stand within their section", elsewhere);
    } else {
      advice = did_you_mean(entry.key, names);
      if (advice.empty()) advice = "see configs/REFERENCE.md or swallowtail train --help-config";
    }
    throw Error{ExitCode::usage, fmt::format("unknown key {}{}", in_quotes(entry.key), in), entry.key_place.words(),
                advice};
  }

  /// The first full path that is `key` or ends in it: the key stands in the wrong section.
  static std::string full_path(const std::string& key) {
    for (const Key* known : all_keys())
      if (known->path == key || known->path.ends_with("." + key)) return std::string(known->path);
    return {};
  }

  Tree tree_;
};

/// What one key alone cannot tell.
void check_relations(const Tree& tree) {
  const auto fail = [&](std::string_view key, std::string what, std::string advice) {
    throw Error{ExitCode::usage, std::move(what), tree.at(key).place, std::move(advice)};
  };
  const auto& name = std::get<std::string>(tree.at("name").value);
  if (name == "." || name == ".." || name.find('/') != std::string::npos || printable(name) != name)
    fail("name", fmt::format("name {} cannot be a directory", in_quotes(name)), "use letters and '-'");
  const double validation = std::get<double>(tree.at("data.split.validation").value);
  const double test = std::get<double>(tree.at("data.split.test").value);
  if (validation + test >= 1)
    fail(tree.at("data.split.test").is_set ? "data.split.test" : "data.split.validation",
         fmt::format("data.split leaves nothing to train on: validation {} and test {}", validation, test),
         "give a sum below 1");
}

}  // namespace

const Entry& Tree::at(std::string_view path) const {
  const auto found = entries.find(path);
  if (found == entries.end()) throw std::logic_error(fmt::format("the schema has no key '{}'", path));
  return found->second;
}

Tree resolve(Node root, const std::string& default_name) {
  Tree tree = Resolver().run(root);
  if (auto& name = tree.entries.at("name").value; std::holds_alternative<std::monostate>(name)) name = default_name;
  check_relations(tree);
  return tree;
}

}  // namespace swallowtail::config
