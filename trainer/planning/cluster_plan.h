// A whole plan on paper: who holds what on a cluster, what a step takes, whether memory suffices, and what would be the
// cheapest next change.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "trainer/planning/step_model.h"

namespace swallowtail {

struct PlanInput {
  const Experiment& experiment;
  const DataShape& shape;
  std::span<const EmbeddingTable> tables;
  int world_size = 1;
};

struct PlanChange {
  std::string change;  // "parallel.wire=bf16", "train.batch_size=131072"
  double samples_per_s = 0;
};

struct ClusterPlan {
  Cluster cluster;
  StepSetting setting;
  std::vector<TableSpec> tables;
  DenseWork dense;
  DenseMemory memory;
  StepConstants constants;
  PlannedTables planned;
  StepPrediction step;
  double lower_bound_s = 0;         // of a step, under the same constants
  double planning_s = 0;            // that the planner took
  std::vector<PlanChange> changes;  // the most rewarding first

  double samples_per_s() const { return setting.batch / step.step_s; }
  double headroom_bytes() const;  // of the fullest rank
};

/// What the experiment says of a step.
StepSetting step_setting(const PlanInput& input);

/// Errors: resources with the missing bytes where nothing fits; usage for a batch that is smaller than the world.
ClusterPlan plan_on_cluster(const PlanInput& input, const Cluster& cluster);

/// The shape of DESIGN section 5, and more.
nlohmann::ordered_json to_json(const ClusterPlan& plan);
/// For people.
std::string plan_text(const ClusterPlan& plan);
/// A picture of the ranks' load, phase by phase, with the bound: an SVG of its own.
std::string load_svg(const ClusterPlan& plan);

}  // namespace swallowtail
