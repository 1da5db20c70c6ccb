#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "trainer/config/tree.h"

namespace swallowtail::config {
namespace {

/// In double quotes. Of a value, `${` is escaped, so that reading it back does not ask the environment; keys are not
/// expanded.
std::string quoted_text(std::string_view text, bool is_value) {
  std::string out = "\"";
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (is_value && text.substr(at, 2) == "${") out += '$';
    if (byte == '"' || byte == '\\') out += '\\';
    if (byte < 0x20 || byte == 0x7F)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += text[at];
  }
  return out + '"';
}

std::string real_text(double value) {  // the shortest digits that read back to the same bits
  char digits[32];
  return {digits, std::to_chars(digits, digits + sizeof digits, value).ptr};
}

template <typename Element, typename Words>
std::string list_text(const std::vector<Element>& elements, Words words) {
  std::string out;
  for (const auto& element : elements) out += (out.empty() ? "" : ", ") + words(element);
  return '[' + out + ']';
}

std::string value_text(const Key& key, const Value& value) {
  struct Words {
    const Key& key;
    std::string operator()(std::monostate) const { return "null"; }
    std::string operator()(bool is_true) const { return is_true ? "true" : "false"; }
    std::string operator()(std::int64_t integer) const { return fmt::format("{}", integer); }
    std::string operator()(double real) const { return real_text(real); }
    std::string operator()(const std::string& text) const {
      return key.kind == Kind::choice ? text : quoted_text(text, true);
    }
    std::string operator()(const std::vector<std::int64_t>& integers) const {
      return list_text(integers, [](std::int64_t integer) { return fmt::format("{}", integer); });
    }
    std::string operator()(const std::vector<double>& reals) const { return list_text(reals, real_text); }
    std::string operator()(const std::vector<std::string>& texts) const {
      return list_text(texts, [](const std::string& text) { return quoted_text(text, true); });
    }
  };
  return std::visit(Words{key}, value);
}

/// One map of a list or under a name, on one line. Nulls are left out: there they all mean "inherit".
std::string flow_map(const Tree& tree, const SchemaNode& known, const std::string& prefix) {
  std::string out;
  for (const auto& child : known.children) {
    const auto& entry = tree.at(prefix + child->name);
    if (std::holds_alternative<std::monostate>(entry.value)) continue;
    out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", child->name, value_text(*child->key, entry.value));
  }
  return '{' + out + '}';
}

void emit_section(const Tree& tree, const SchemaNode& known, const std::string& prefix, std::string& out) {
  const std::string indent(2 * static_cast<std::size_t>(std::count(prefix.begin(), prefix.end(), '.')), ' ');
  for (const auto& child : known.children) {
    const std::string path = prefix + child->name;
    const auto& entry = tree.at(path);
    out += indent + child->name + ':';
    switch (child->shape) {
      case SchemaNode::Shape::key:
        out += ' ' + value_text(*child->key, entry.value) + '\n';
        break;
      case SchemaNode::Shape::section:
        out += '\n';
        emit_section(tree, *child, path + '.', out);
        break;
      case SchemaNode::Shape::list:
        out += entry.size == 0 ? " []\n" : "\n";
        for (std::size_t i = 0; i < entry.size; ++i)
          out += fmt::format("{}  - {}\n", indent, flow_map(tree, *child, fmt::format("{}[{}].", path, i)));
        break;
      case SchemaNode::Shape::named:
        out += entry.names.empty() ? " {}\n" : "\n";
        for (const auto& name : entry.names)
          out += fmt::format("{}  {}: {}\n", indent, quoted_text(name, false),
                             flow_map(tree, *child, fmt::format("{}.{}.", path, name)));
        break;
    }
  }
}

}  // namespace

std::string to_yaml(const Tree& tree) {
  std::string out;
  emit_section(tree, schema(), "", out);
  return out;
}

}  // namespace swallowtail::config
