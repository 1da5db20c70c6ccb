#include "trainer/config/compose.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "trainer/config/value.h"
#include "trainer/config/yaml_reader.h"

namespace swallowtail::config {
namespace {

constexpr std::size_t kMostFiles = 16;  // of one chain of extends

/// `chain` holds the canonical paths of the files that led here.
Node compose(std::string_view yaml, const std::shared_ptr<const Source>& source,
             std::vector<std::filesystem::path>& chain) {
  Node root = read_yaml(yaml, source);
  const auto entry = std::ranges::find(root.entries, extends_key().path, &MapEntry::key);
  if (entry == root.entries.end()) return root;
  const Node wanted = std::move(entry->value);
  root.entries.erase(entry);
  if (wanted.shape == Node::Shape::null) return root;

  const std::filesystem::path file = std::get<std::string>(parse_value(extends_key(), wanted, "extends"));
  const std::string place = wanted.place.words();
  const std::string text = read_text(file, place);
  const auto canonical = std::filesystem::canonical(file);
  if (std::ranges::find(chain, canonical) != chain.end())
    throw Error{ExitCode::usage, fmt::format("extends comes back to {}", in_quotes(file.string())), place,
                "remove one extends of the circle"};
  if (chain.size() >= kMostFiles)
    throw Error{ExitCode::usage, fmt::format("extends through more than {} files", kMostFiles), place,
                "join some of them"};
  chain.push_back(canonical);
  // Named as the file that asked for it is: relative where that one is, so that messages stay short.
  const std::filesystem::path shown =
      std::filesystem::path(source->name).parent_path() / file.lexically_relative(source->directory);
  const auto base = std::make_shared<Source>(Source{printable(shown.lexically_normal().string()), file.parent_path()});
  Node result = compose(text, base, chain);
  merge(result, std::move(root));
  result.place = Place{source, 1, 1};
  return result;
}

/// One override being applied: walks the schema and the tree together, making sections on its way.
class Override {
 public:
  Override(const std::string& text, const std::shared_ptr<const Source>& source) : place_{source, 1, 1} {
    check_bytes(text, source);
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      throw Error{ExitCode::usage, fmt::format("{} is not an override", in_quotes(text)), place_.words(),
                  "write section.key=value"};
    path_ = text.substr(0, equals);
    value_ = text.substr(equals + 1);
    if (path_ == extends_key().path)
      throw Error{ExitCode::usage, "extends cannot be overridden", place_.words(), "write it into a file"};
    for (std::size_t start = 0; start <= path_.size();) {
      const auto dot = std::min(path_.find('.', start), path_.size());
      names_.push_back(path_.substr(start, dot - start));
      start = dot + 1;
    }
  }

  void apply(Node& root) {
    Node* node = &root;
    const SchemaNode* known = &schema();  // nullptr beyond an unknown key
    for (std::size_t at = 0; at < names_.size(); ++at) {
      auto [name, index] = split_index(names_[at]);
      if (known != nullptr) known = known->child(name);
      node = &child(*node, name);
      if (index >= 0) node = &element(*node, name, index);
      if (known != nullptr && known->shape == SchemaNode::Shape::named && at + 1 < names_.size()) {
        // a.b.dim under a map of named maps is the key dim of the name "a.b": the maps under it are flat
        const std::size_t last = names_.size() - 1;
        const std::size_t end = last > at + 1 ? last : last + 1;
        node = &child(*node, fmt::format("{}", fmt::join(names_.begin() + static_cast<std::ptrdiff_t>(at) + 1,
                                                         names_.begin() + static_cast<std::ptrdiff_t>(end), ".")));
        at = end - 1;
      }
    }
    merge(*node, value(known));
  }

 private:
  /// "tables[2]" -> "tables", 2; a name without index -> -1.
  static std::pair<std::string, std::int64_t> split_index(const std::string& name) {
    const auto open = name.find('[');
    if (open == std::string::npos || !name.ends_with(']')) return {name, -1};
    std::int64_t index = -1;
    const char* const end = name.data() + name.size() - 1;
    const auto [rest, code] = std::from_chars(name.data() + open + 1, end, index);
    if (code != std::errc{} || rest != end || index < 0) return {name, -1};
    return {name.substr(0, open), index};
  }

  Node& child(Node& map, const std::string& name) const {
    if (map.shape == Node::Shape::null) {
      map.shape = Node::Shape::map;
      map.place = place_;
    }
    if (map.shape != Node::Shape::map)
      throw Error{ExitCode::usage, fmt::format("override {} goes into what is not a map", in_quotes(path_)),
                  map.place.words(), "name a key of a section"};
    if (Node* found = map.find(name)) return *found;
    map.entries.push_back({name, place_, Node{.place = place_}});
    return map.entries.back().value;
  }

  Node& element(Node& list, const std::string& name, std::int64_t index) const {
    if (list.shape != Node::Shape::list || static_cast<std::size_t>(index) >= list.items.size())
      throw Error{ExitCode::usage,
                  fmt::format("{} has {} elements, but override {} names element {}", printable(name),
                              list.shape == Node::Shape::list ? list.items.size() : 0, in_quotes(path_), index),
                  place_.words(), "elements count from 0"};
    return list.items[static_cast<std::size_t>(index)];
  }

  bool takes_scalar(const SchemaNode* known) const {
    if (known == nullptr) return true;
    if (known->shape != SchemaNode::Shape::key) return false;
    switch (known->key->kind) {
      case Kind::integers:
      case Kind::numbers:
      case Kind::texts:
        return false;
      case Kind::paths:
        return !value_.starts_with('[');
      default:
        return true;
    }
  }

  Node value(const SchemaNode* known) const {
    if (value_.empty() || value_ == "null" || value_ == "~") return Node{.place = place_};
    const bool is_quoted = value_.size() >= 2 && (value_[0] == '"' || value_[0] == '\'') && value_.back() == value_[0];
    // A shell has quoted already: `data.separator=|` or `data.label=>50K` would be syntax in YAML.
    if (takes_scalar(known) && !is_quoted) return Node{.shape = Node::Shape::scalar, .text = value_, .place = place_};
    Node read = read_yaml("override: " + value_, place_.source);
    if (read.entries.size() != 1)
      throw Error{ExitCode::usage, fmt::format("the value of override {} is not one value", in_quotes(path_)),
                  place_.words(), "write a list as [A, B], a map as {KEY: VALUE}"};
    return std::move(read.entries[0].value);
  }

  Place place_;
  std::string path_, value_;
  std::vector<std::string> names_;
};

}  // namespace

const Key& extends_key() {
  static const Key key{.path = "extends",
                       .kind = Kind::path,
                       .default_value = "null",
                       .meaning = "experiment file that this one builds on: maps merge, lists and values replace"};
  return key;
}

Node compose_file(const std::filesystem::path& file) {
  const std::string text = read_text(file);
  std::vector<std::filesystem::path> chain{std::filesystem::canonical(file)};
  const auto directory = std::filesystem::absolute(file).lexically_normal().parent_path();
  return compose(text, std::make_shared<Source>(Source{printable(file.string()), directory}), chain);
}

Node compose_text(std::string_view yaml, std::string_view name, const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> chain;
  const auto absolute = std::filesystem::absolute(directory).lexically_normal();
  return compose(yaml, std::make_shared<Source>(Source{printable(name), absolute}), chain);
}

void apply_overrides(Node& root, const std::vector<std::string>& overrides) {
  const auto source = std::make_shared<Source>(Source{"command line", std::filesystem::current_path(), true});
  for (const auto& text : overrides) Override(text, source).apply(root);
}

}  // namespace swallowtail::config
