#include "trainer/config/schema.h"

#include <fmt/format.h>

#include <array>
#include <cassert>

namespace swallowtail::config {
namespace {

constexpr std::array kSectionPages{
    SectionPage{"", "The experiment itself.", "seed: 1"},
    SectionPage{"data", "What is read, and how columns become features.",
                "data: {source: csv, train: train.csv, label: income, dense: [age], categorical: [education]}"},
    SectionPage{"model", "The network.",
                "model: {type: dlrm, embedding_dim: 16, bottom_mlp: [64, 16], top_mlp: [64], interaction: dot}"},
    SectionPage{"embedding", "The embedding tables and their optimizer.",
                "embedding: {optimizer: rowwise_adagrad, learning_rate: 0.02, tables: {education: {dim: 8}}}"},
    SectionPage{"train", "The training loop and the optimizer of the dense parameters.",
                "train: {batch_size: 256, epochs: 10, optimizer: adamw, weight_decay: 0.05, schedule: cosine}"},
    SectionPage{"parallel", "Ranks and how they exchange.", "parallel: {all_to_all: pairwise, timeout_s: 60}"},
    SectionPage{"evaluation", "When and what is measured.", "evaluation: {every_steps: 500, metrics: [auc, logloss]}"},
    SectionPage{"checkpoint", "What is saved.", "checkpoint: {every_steps: 1000, keep: 5}"},
    SectionPage{"report", "What is shown and written beside the checkpoints.", "report: {log_every_steps: 50}"},
    SectionPage{"plan", "What `swallowtail plan` takes for the dense part; training reads none of it.",
                "plan: {precision: bf16}"},
    SectionPage{"sap", "The stages of SAP, for model.type: sap.",
                "sap: {strata: {count: 3}, pool: {limit: 300}, reorder: {method: xquad, diversity: 0.2}}"},
    SectionPage{"tune", "What `swallowtail tune` searches; training reads none of it.",
                "tune: {method: tpe, parameters: [{key: train.learning_rate, kind: log_uniform, low: 1e-4, "
                "high: 0.1}]}"},
    SectionPage{"run", "Where the run stands.", "run: {dir: runs/first}"},
};

/// Adds a key under the node, making the sections on its way. "a[].b" makes a list, "a.*.b" a map of named maps.
void add_key(SchemaNode& root, const Key& key) {
  SchemaNode* node = &root;
  std::string_view rest = key.path;
  while (!rest.empty()) {
    const auto dot = rest.find('.');
    std::string_view name = rest.substr(0, dot);
    rest = dot == std::string_view::npos ? std::string_view{} : rest.substr(dot + 1);
    auto shape = rest.empty() ? SchemaNode::Shape::key : SchemaNode::Shape::section;
    if (name.ends_with("[]")) {
      name.remove_suffix(2);
      shape = SchemaNode::Shape::list;
    } else if (rest.starts_with("*.")) {
      rest.remove_prefix(2);
      shape = SchemaNode::Shape::named;
    }
    if (const auto* found = node->child(name)) {
      assert(found->shape == shape && shape != SchemaNode::Shape::key);
      node = const_cast<SchemaNode*>(found);
      continue;
    }
    auto made = std::make_unique<SchemaNode>();
    made->shape = shape;
    made->name = name;
    made->key = shape == SchemaNode::Shape::key ? &key : nullptr;
    node->children.push_back(std::move(made));
    node = node->children.back().get();
  }
}

}  // namespace

bool Range::contains(double value) const {
  return (is_low_excluded ? value > low : value >= low) && (is_high_excluded ? value < high : value <= high);
}

std::string Range::words() const {
  const bool has_low = low > -std::numeric_limits<double>::infinity();
  const bool has_high = high < std::numeric_limits<double>::infinity();
  if (has_low && has_high && !is_low_excluded && !is_high_excluded) return fmt::format("from {} to {}", low, high);
  std::string words = has_low ? fmt::format("{} {}", is_low_excluded ? "above" : "at least", low) : "";
  if (has_high) words += fmt::format("{}{} {}", has_low ? " and " : "", is_high_excluded ? "below" : "at most", high);
  return words;
}

std::span<const SectionPage> section_pages() { return kSectionPages; }

const SchemaNode* SchemaNode::child(std::string_view child_name) const {
  for (const auto& candidate : children)
    if (candidate->name == child_name) return candidate.get();
  return nullptr;
}

std::vector<std::string_view> SchemaNode::child_names() const {
  std::vector<std::string_view> names;
  for (const auto& node : children) names.push_back(node->name);
  return names;
}

const std::vector<const Key*>& all_keys() {
  static const auto keys = [] {
    std::vector<const Key*> all;
    for (const auto section : {data_keys(), interaction_keys(), model_keys(), text_keys(), train_keys(), ranking_keys(),
                               sap_keys(), search_keys()})
      for (const Key& key : section) all.push_back(&key);
    return all;
  }();
  return keys;
}

const SchemaNode& schema() {
  static const auto root = [] {
    SchemaNode node;
    for (const Key* key : all_keys()) add_key(node, *key);
    return node;
  }();
  return root;
}

std::string type_words(const Key& key) {
  switch (key.kind) {
    case Kind::boolean:
      return "true or false";
    case Kind::integer:
      return "integer";
    case Kind::number:
      return "number";
    case Kind::text:
      return "text";
    case Kind::choice:
      return fmt::format("one of {}", fmt::join(key.choices, ", "));
    case Kind::path:
      return "path";
    case Kind::paths:
      return "path or list of paths";
    case Kind::integers:
      return "list of integers";
    case Kind::numbers:
      return "list of numbers";
    case Kind::texts:
      return "list of texts";
  }
  return {};
}

}  // namespace swallowtail::config
