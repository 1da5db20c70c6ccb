#include "trainer/sap/sap_options.h"

#include <algorithm>

namespace swallowtail {

SapOptions sap_options(const Experiment& experiment) {
  SapOptions options;
  options.strata_enabled = experiment.boolean("sap.strata.enabled");
  if (experiment.has("sap.strata.prior")) options.prior = experiment.number("sap.strata.prior");
  options.strata = strata_options(experiment);
  options.refits = experiment.boolean("sap.refit");
  const std::string method = experiment.text("sap.method");
  options.method = method == "auto" ? SapMethod::automatic : method == "list" ? SapMethod::listed : SapMethod::usual;
  for (const auto& [stratum, section] : experiment.named_sections("sap.methods"))
    options.listed[stratum] = section.texts("components");
  options.sources = experiment.texts("sap.pool.sources");
  options.pool.per_component = experiment.integer("sap.pool.per_component");
  options.pool.limit = experiment.integer("sap.pool.limit");
  const auto ks = experiment.integers("evaluation.k");
  options.k = ks.front();
  options.pool.at_least = std::min(options.pool.limit, std::max<std::int64_t>(10, *std::ranges::max_element(ks)));

  options.product.equal_weights = experiment.text("sap.product.weights") == "equal";
  options.product.selects = experiment.boolean("sap.product.select");
  options.product.steps = experiment.boolean("sap.product.enabled") ? experiment.integer("sap.product.steps") : 0;
  options.product.negatives = experiment.integer("sap.product.negatives");
  options.product.learning_rate = experiment.number("sap.product.learning_rate");
  options.product.weight_decay = experiment.number("sap.product.weight_decay");
  options.product.hidden = experiment.integers("sap.product.hidden");
  options.product.users = experiment.integer("sap.product.users");

  options.graph.enabled = experiment.boolean("sap.graph.enabled");
  options.graph.semantic_share = experiment.number("sap.graph.semantic_share");
  options.graph.neighbors = experiment.integer("sap.graph.neighbors");
  options.graph.semantic_neighbors = experiment.integer("sap.graph.semantic_neighbors");
  options.graph.steps = experiment.integer("sap.graph.steps");
  options.graph.learning_rate = experiment.number("sap.graph.learning_rate");

  options.reorder.enabled = experiment.boolean("sap.reorder.enabled");
  options.reorder.keep = experiment.number("sap.reorder.keep");
  if (experiment.has("sap.reorder.floor_of")) options.reorder.floor_of = experiment.text("sap.reorder.floor_of");
  options.reorder.candidates = experiment.integer("sap.reorder.candidates");
  options.reorder.length = std::max<std::int64_t>(20, *std::ranges::max_element(ks));
  options.calibrates = experiment.boolean("sap.calibration.enabled");
  options.seed = static_cast<std::uint64_t>(experiment.integer("seed"));
  return options;
}

}  // namespace swallowtail
