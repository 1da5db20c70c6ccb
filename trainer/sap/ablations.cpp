#include "trainer/sap/ablations.h"

#include <fmt/format.h>

#include <algorithm>

#include "trainer/config/nearest.h"

namespace swallowtail {
namespace {

/// model.type of a component, by its settings: the last one wins.
std::string type_of(const Section& component) {
  std::string type;
  for (const std::string& setting : component.texts("settings"))
    if (setting.starts_with("model.type=")) type = setting.substr(11);
  return type;
}

std::string with_setting(const std::string& name, const Section& component, const std::string& setting) {
  std::string list;
  for (const std::string& before : component.texts("settings")) {
    std::string quoted;
    for (const char c : before) {
      if (c == '\'') quoted += '\'';
      quoted += c;
    }
    list += fmt::format("'{}', ", quoted);
  }
  return fmt::format("sap.components.{}.settings=[{}'{}']", name, list, setting);
}

}  // namespace

std::vector<Ablation> ablations_of(const Experiment& experiment, const std::string& best_alone) {
  std::vector<Ablation> all;
  const auto parts = experiment.named_sections("sap.components");
  std::vector<std::string> names;
  for (const auto& [name, component] : parts)
    if (component.boolean("enabled")) names.push_back(name);
  const auto off = [](const std::string& name) { return fmt::format("sap.components.{}.enabled=false", name); };

  all.push_back({"one stratum", "all users share their weights", {"sap.strata.enabled=false"}});
  all.push_back({"no shrink", "each stratum's weights are its own", {"sap.strata.prior=0"}});
  Ablation no_text{"no text", "without the items' text", {"sap.graph.semantic_share=0"}};
  Ablation no_softmax{"no softmax", "without the softmax candidate layer", {}};
  for (const std::string& name : names) {
    const std::string type = type_of(parts.at(name));
    if (type == "content") {
      no_text.overrides.push_back(off(name));
      all.push_back({"frozen words",
                     "the words of the text encoder stay as CBOW left them",
                     {with_setting(name, parts.at(name), "model.text.frozen=true")}});
    }
    if (type == "youtube") no_softmax.overrides.push_back(off(name));
    if (type == "einmf") {
      all.push_back(
          {"no explicit", "EINMF without ratings", {with_setting(name, parts.at(name), "model.explicit_weight=0")}});
      all.push_back(
          {"no implicit", "EINMF by ratings alone", {with_setting(name, parts.at(name), "model.explicit_weight=1")}});
    }
  }
  all.push_back(no_text);
  if (!no_softmax.overrides.empty()) all.push_back(no_softmax);
  all.push_back({"one source",
                 "a single component proposes the pool",
                 {fmt::format("sap.pool.sources=['{}']", best_alone.empty() ? names.front() : best_alone)}});
  all.push_back(
      {"equal weights", "all components count alike", {"sap.product.weights=equal", "sap.product.enabled=false"}});
  all.push_back({"no selection", "all components stay", {"sap.product.select=false"}});
  all.push_back({"no product", "searched weights, without products of the scores", {"sap.product.enabled=false"}});
  all.push_back({"no graph", "without graph re-ranking", {"sap.graph.enabled=false"}});
  all.push_back({"no re-order", "without re-ordering for diversity", {"sap.reorder.enabled=false"}});
  if (names.size() > 1)
    for (const std::string& name : names) all.push_back({"without " + name, "without this component", {off(name)}});
  return all;
}

Ablation find_ablation(const Experiment& experiment, const std::string& name, const std::string& best_alone) {
  std::string wanted = name;
  std::ranges::replace(wanted, '_', ' ');
  const auto all = ablations_of(experiment, best_alone);
  std::vector<std::string_view> names;
  for (const Ablation& ablation : all) {
    if (ablation.name == wanted || ablation.name == "without " + name) return ablation;
    names.push_back(ablation.name);
  }
  throw Error{ExitCode::usage, fmt::format("'{}' cannot be taken away", name), "command line",
              did_you_mean(wanted, names)};
}

}  // namespace swallowtail
