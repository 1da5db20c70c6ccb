#include "trainer/planning/cluster_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "kernels/wire.h"
#include "parallel/topology.h"
#include "trainer/embedding/table_options.h"
#include "trainer/embedding/table_specs.h"

namespace swallowtail {

namespace {

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
constexpr double kWorthAChange = 1.01;

double wire_bytes_a_float(const std::string& name) {
  constexpr std::int64_t kMany = 1 << 20;
  return static_cast<double>(wire_bytes(*parse_wire(name), 1, kMany)) / static_cast<double>(kMany);
}

/// The same plan under other settings; what the planner would then find is at least as good.
double samples_per_s(const ClusterPlan& plan, std::span<const TableSpec> tables, const StepSetting& setting) {
  const StepConstants constants = cluster_constants(plan.cluster, plan.dense, setting);
  const auto ranks = rank_costs(tables, plan.planned.plan, constants.embedding);
  return setting.batch / predict_step(ranks, constants).step_s;
}

std::vector<PlanChange> changes_of(const ClusterPlan& plan) {
  std::vector<PlanChange> changes;
  const auto consider = [&](std::string change, std::span<const TableSpec> tables, const StepSetting& setting) {
    const double rate = samples_per_s(plan, tables, setting);
    if (rate > plan.samples_per_s() * kWorthAChange) changes.push_back({std::move(change), rate});
  };
  if (plan.setting.world_size > 1)
    for (const auto& [name, bytes] : {std::pair{"bf16", 2.0}, {"int8", 1.0}}) {
      if (plan.setting.forward_bytes <= bytes) continue;
      StepSetting setting = plan.setting;
      setting.forward_bytes = setting.backward_bytes = bytes;
      consider(fmt::format("parallel.wire={}", name), plan.tables, setting);
    }
  if (plan.setting.exact) {
    StepSetting setting = plan.setting;
    setting.exact = false;
    consider("train.deterministic=false", plan.tables, setting);
  }
  if (std::ranges::any_of(plan.tables, [](const TableSpec& table) { return table.state_per_row > 1; })) {
    auto tables = plan.tables;
    for (TableSpec& table : tables)
      if (table.state_per_row > 1) {
        table.state_per_row = 1;
        table.state_is_by_row = true;
      }
    consider("embedding.optimizer=rowwise_adagrad", tables, plan.setting);
  }
  StepSetting twice = plan.setting;
  twice.batch *= 2;
  consider(fmt::format("train.batch_size={:.0f}", twice.batch), plan.tables, twice);
  std::ranges::stable_sort(changes, std::greater{}, &PlanChange::samples_per_s);
  return changes;
}

}  // namespace

double ClusterPlan::headroom_bytes() const {
  double most = 0;
  for (const ShardCost& rank : planned.ranks) most = std::max(most, rank.bytes());
  return cluster.memory_bytes - memory.sum() - most;
}

StepSetting step_setting(const PlanInput& input) {
  const Experiment& experiment = input.experiment;
  StepSetting setting;
  setting.batch = experiment.number("train.batch_size");
  setting.world_size = input.world_size;
  setting.exact = experiment.boolean("train.deterministic");
  setting.overlaps = experiment.boolean("parallel.overlap");
  const std::string wire = experiment.text("parallel.wire");
  setting.forward_bytes = wire_bytes_a_float(wire);
  setting.backward_bytes =
      wire_bytes_a_float(experiment.has("parallel.wire_backward") ? experiment.text("parallel.wire_backward") : wire);
  setting.is_bf16 = experiment.text("plan.precision") == "bf16";
  constexpr std::int64_t kMany = 1000;
  setting.dense_state =
      static_cast<double>(dense_state_width(parse_optimizer(experiment.text("train.optimizer")),
                                            static_cast<float>(experiment.number("train.momentum")), kMany)) /
      kMany;
  setting.tables = input.tables.size();
  return setting;
}

ClusterPlan plan_on_cluster(const PlanInput& input, const Cluster& cluster) {
  ClusterPlan plan{.cluster = cluster, .setting = step_setting(input)};
  plan.tables = table_specs(input.tables);
  plan.dense = dense_work(input.experiment, input.shape, input.tables);
  plan.memory = dense_memory(cluster, plan.dense, plan.setting);
  plan.constants = cluster_constants(cluster, plan.dense, plan.setting);
  if (plan.setting.batch < input.world_size)
    throw input.experiment.error(
        "train.batch_size",
        fmt::format("a batch of {} leaves some of {} ranks without a sample", plan.setting.batch, input.world_size),
        "plan for fewer ranks, or set a larger train.batch_size");
  const double capacity = cluster.memory_bytes - plan.memory.sum();
  const auto node_of = full_nodes(input.world_size, cluster.network.ranks_per_node);
  const PlannerOptions options{.costs = plan.constants.embedding,
                               .capacity_bytes = static_cast<std::int64_t>(std::max(1.0, capacity)),
                               .allow_copies = true,
                               .allow_grid = cluster.is_gpu};
  const auto start = std::chrono::steady_clock::now();
  plan.planned = plan_auto(plan.tables, node_of, options);
  plan.planning_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double missing = plan.planned.missing_bytes + input.world_size * std::max(0.0, -capacity);
  if (missing > 0)
    throw Error{ExitCode::resources,
                fmt::format("the plan needs {:.0f} bytes ({:.2f} GiB) more than {} ranks of {} have", missing,
                            missing / kGiB, input.world_size, cluster.name),
                "the memory of the ranks",
                "plan for more ranks, a smaller batch, rowwise_adagrad, or fewer or narrower tables"};
  plan.step = predict_step(plan.planned.ranks, plan.constants);

  // The least that any plan's step can take: the dense part as it is, and the tables' part at its bound, all of it
  // hidden that could be.
  const StepPhases& of = plan.step.critical;
  const double dense_s = of.data + of.mlp_forward + of.mlp_backward + of.dense_update + of.overhead;
  const double most_hidden = plan.constants.overlaps ? of.mlp_forward + of.mlp_backward : 0;
  plan.lower_bound_s = std::min(plan.step.step_s, dense_s + std::max(0.0, plan.planned.bound.seconds - most_hidden));
  plan.changes = changes_of(plan);
  return plan;
}

}  // namespace swallowtail
