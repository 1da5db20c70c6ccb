#include "trainer/config/experiment.h"

#include <fmt/format.h>

#include <stdexcept>

#include "trainer/config/compose.h"
#include "trainer/config/tree.h"

namespace swallowtail {
namespace {

/// The value of a key as the caller asked for it. A caller that asks for another type, or for a null without has(), is
/// a bug of ours.
template <typename Wanted>
const Wanted& value_as(const config::Tree& tree, const std::string& path) {
  const auto& value = tree.at(path).value;
  if (const auto* wanted = std::get_if<Wanted>(&value)) return *wanted;
  throw std::logic_error(fmt::format("key '{}' is null or has another type than the code asks for", path));
}

void require_kind(const config::Tree& tree, const std::string& path, std::initializer_list<config::Kind> kinds) {
  const auto* key = tree.at(path).schema->key;
  for (const auto kind : kinds)
    if (key != nullptr && key->kind == kind) return;
  throw std::logic_error(fmt::format("key '{}' has another type than the code asks for", path));
}

}  // namespace

using config::Kind;

bool Section::has(std::string_view key) const {
  const auto& entry = tree_->at(prefix_ + std::string(key));
  if (entry.schema->shape == config::SchemaNode::Shape::key)
    return !std::holds_alternative<std::monostate>(entry.value);
  if (entry.schema->shape == config::SchemaNode::Shape::section) return entry.is_set;
  return entry.size > 0 || !entry.names.empty();
}

bool Section::boolean(std::string_view key) const { return value_as<bool>(*tree_, prefix_ + std::string(key)); }

std::int64_t Section::integer(std::string_view key) const {
  return value_as<std::int64_t>(*tree_, prefix_ + std::string(key));
}

double Section::number(std::string_view key) const {
  const std::string path = prefix_ + std::string(key);
  if (const auto* integer = std::get_if<std::int64_t>(&tree_->at(path).value)) return static_cast<double>(*integer);
  return value_as<double>(*tree_, path);
}

std::string Section::text(std::string_view key) const {
  const std::string path = prefix_ + std::string(key);
  require_kind(*tree_, path, {Kind::text, Kind::choice});
  return value_as<std::string>(*tree_, path);
}

std::filesystem::path Section::path(std::string_view key) const {
  const std::string path = prefix_ + std::string(key);
  require_kind(*tree_, path, {Kind::path});
  return value_as<std::string>(*tree_, path);
}

std::vector<std::int64_t> Section::integers(std::string_view key) const {
  return value_as<std::vector<std::int64_t>>(*tree_, prefix_ + std::string(key));
}

std::vector<double> Section::numbers(std::string_view key) const {
  return value_as<std::vector<double>>(*tree_, prefix_ + std::string(key));
}

std::vector<std::string> Section::texts(std::string_view key) const {
  const std::string path = prefix_ + std::string(key);
  require_kind(*tree_, path, {Kind::texts});
  return value_as<std::vector<std::string>>(*tree_, path);
}

std::vector<std::filesystem::path> Section::paths(std::string_view key) const {
  const std::string path = prefix_ + std::string(key);
  require_kind(*tree_, path, {Kind::paths});
  const auto& values = value_as<std::vector<std::string>>(*tree_, path);
  return {values.begin(), values.end()};
}

std::vector<Section> Section::sections(std::string_view key) const {
  const std::string path = prefix_ + std::string(key);
  std::vector<Section> elements(tree_->at(path).size);
  for (std::size_t i = 0; i < elements.size(); ++i) {
    elements[i].tree_ = tree_;
    elements[i].prefix_ = fmt::format("{}[{}].", path, i);
  }
  return elements;
}

std::map<std::string, Section> Section::named_sections(std::string_view key) const {
  const std::string path = prefix_ + std::string(key);
  std::map<std::string, Section> named;
  for (const auto& name : tree_->at(path).names) {
    auto& section = named[name];
    section.tree_ = tree_;
    section.prefix_ = fmt::format("{}.{}.", path, name);
  }
  return named;
}

bool Section::is_set(std::string_view key) const { return tree_->at(prefix_ + std::string(key)).is_set; }

std::string Section::place(std::string_view key) const { return tree_->at(prefix_ + std::string(key)).place; }

Error Section::error(std::string_view key, std::string what, std::string advice) const {
  return Error{ExitCode::usage, std::move(what), place(key), std::move(advice)};
}

Experiment Experiment::load(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  config::Node root = config::compose_file(file);
  config::apply_overrides(root, overrides);
  Experiment experiment;
  experiment.tree_ = std::make_shared<config::Tree>(config::resolve(std::move(root), file.stem().string()));
  return experiment;
}

Experiment Experiment::parse(std::string_view yaml, const std::vector<std::string>& overrides, std::string_view name,
                             const std::filesystem::path& directory) {
  config::Node root = config::compose_text(yaml, name, directory);
  config::apply_overrides(root, overrides);
  const std::string stem = std::filesystem::path(name).stem().string();
  Experiment experiment;
  experiment.tree_ = std::make_shared<config::Tree>(config::resolve(std::move(root), stem));
  return experiment;
}

std::string Experiment::to_yaml() const { return config::to_yaml(*tree_); }

}  // namespace swallowtail
