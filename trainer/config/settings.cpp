#include "trainer/config/settings.h"

#include <fmt/format.h>

#include "trainer/config/schema.h"

namespace swallowtail {
namespace {

using config::Key;
using config::Kind;

std::string in_double_quotes(std::string_view text) {
  std::string out = "\"";
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text.substr(at, 2) == "${") out += '$';  // else it would ask the environment
    if (text[at] == '"' || text[at] == '\\') out += '\\';
    out += text[at];
  }
  return out + '"';
}

template <typename Element, typename Words>
std::string list_of(const std::vector<Element>& elements, Words words) {
  std::string out;
  for (const auto& element : elements) out += (out.empty() ? "" : ", ") + words(element);
  return '[' + out + ']';
}

std::string value_of(const Section& section, std::string_view name, Kind kind) {
  if (!section.has(name)) return "null";
  switch (kind) {
    case Kind::boolean:
      return section.boolean(name) ? "true" : "false";
    case Kind::integer:
      return fmt::format("{}", section.integer(name));
    case Kind::number:
      return fmt::format("{}", section.number(name));
    case Kind::choice:
      return section.text(name);
    case Kind::text:
      return in_double_quotes(section.text(name));
    case Kind::path:
      return in_double_quotes(section.path(name).string());
    case Kind::integers:
      return list_of(section.integers(name), [](std::int64_t value) { return fmt::format("{}", value); });
    case Kind::numbers:
      return list_of(section.numbers(name), [](double value) { return fmt::format("{}", value); });
    case Kind::texts:
      return list_of(section.texts(name), [](const std::string& text) { return in_double_quotes(text); });
    case Kind::paths:
      return list_of(section.paths(name), [](const auto& path) { return in_double_quotes(path.string()); });
  }
  return {};
}

}  // namespace

std::vector<std::string> settings_of(const Experiment& experiment, std::string_view section) {
  std::vector<std::string> settings;
  for (const Key* key : config::all_keys()) {
    const std::string path(key->path);
    if (!path.starts_with(std::string(section) + '.') || path.find('[') != std::string::npos) continue;
    const std::size_t star = path.find(".*.");
    if (star == std::string::npos) {
      if (experiment.is_set(path)) settings.push_back(path + '=' + value_of(experiment, path, key->kind));
      continue;
    }
    const std::string parent = path.substr(0, star), child = path.substr(star + 3);
    for (const auto& [name, own] : experiment.named_sections(parent))
      if (own.is_set(child))
        settings.push_back(fmt::format("{}.{}.{}={}", parent, name, child, value_of(own, child, key->kind)));
  }
  return settings;
}

}  // namespace swallowtail
