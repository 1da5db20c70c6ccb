// A plan as JSON and as text.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>

#include "trainer/planning/cluster_plan.h"
#include "trainer/report/html.h"

namespace swallowtail {

namespace {

using nlohmann::ordered_json;

double imbalance(const PlannedTables& planned) {
  const double mean = planned.mean_seconds();
  return mean > 0 ? planned.max_seconds() / mean : 1;
}

/// The phase that takes most of the critical rank's time, and how it is called.
std::pair<std::string, double> bound_by(const ClusterPlan& plan) {
  const ordered_json phases = to_json(plan.step.critical);
  std::pair<std::string, double> most{"nothing", 0};
  for (const auto& [name, seconds] : phases.items())
    if (seconds.get<double>() > most.second) most = {name, seconds.get<double>()};
  return most;
}

/// "0-3, 5" of the ranks of a table.
std::string ranks_text(const TablePlan& table) {
  std::vector<int> ranks;
  for (const Shard& shard : table.shards) ranks.push_back(shard.rank);
  std::ranges::sort(ranks);
  std::string text;
  for (std::size_t first = 0; first < ranks.size();) {
    std::size_t last = first;
    while (last + 1 < ranks.size() && ranks[last + 1] == ranks[last] + 1) ++last;
    if (!text.empty()) text += ", ";
    text += last == first ? fmt::format("{}", ranks[first]) : fmt::format("{}-{}", ranks[first], ranks[last]);
    first = last + 1;
  }
  return text.size() > 60 ? fmt::format("{} ranks", ranks.size()) : text;
}

ordered_json table_json(const TableSpec& spec, const TablePlan& plan) {
  ordered_json ranks = ordered_json::array(), shards = ordered_json::array();
  for (const Shard& shard : plan.shards) {
    ranks.push_back(shard.rank);
    shards.push_back({{"rank", shard.rank},
                      {"first_row", shard.first_row},
                      {"rows", shard.rows},
                      {"first_col", shard.first_col},
                      {"cols", shard.cols}});
  }
  return {{"name", spec.name}, {"sharding", name_of(plan.sharding)}, {"ranks", ranks},    {"rows", spec.rows},
          {"dim", spec.dim},   {"pooling_factor", spec.mean_ids},    {"zipf", spec.zipf}, {"shards", shards}};
}

}  // namespace

ordered_json to_json(const ClusterPlan& plan) {
  const PlannedTables& planned = plan.planned;
  ordered_json json;
  json["world_size"] = plan.setting.world_size;
  json["cluster"] = plan.cluster.name;
  json["batch_size"] = plan.setting.batch;
  json["fits"] = true;
  json["step_seconds"] = plan.step.step_s;
  json["samples_per_s"] = plan.samples_per_s();
  json["lower_bound_seconds"] = plan.lower_bound_s;
  json["imbalance"] = imbalance(planned);
  ordered_json phases = to_json(plan.step.critical);
  phases["waiting"] = plan.step.waiting_s;
  phases["hidden"] = -plan.step.hidden_s;
  json["phases"] = phases;  // they add up to step_seconds
  json["exposed_seconds"] = plan.step.exposed_s;
  json["critical_rank"] = plan.step.critical_rank;
  const auto [bound, seconds] = bound_by(plan);
  json["bound_by"] = {{"phase", bound}, {"seconds", seconds}};
  json["next_changes"] = ordered_json::array();
  for (const PlanChange& change : plan.changes)
    json["next_changes"].push_back({{"change", change.change}, {"samples_per_s", change.samples_per_s}});
  json["tables_load"] = {{"max_seconds", planned.max_seconds()},
                         {"mean_seconds", planned.mean_seconds()},
                         {"bound_seconds", planned.bound.seconds},
                         {"bound_of_work_seconds", planned.bound.work_seconds},
                         {"bound_of_part_seconds", planned.bound.part_seconds}};
  json["planner"] = {{"seconds", plan.planning_s}, {"proposals", planned.proposals}, {"moves", planned.moves}};
  json["ranks"] = ordered_json::array();
  for (std::size_t rank = 0; rank < planned.ranks.size(); ++rank) {
    const ShardCost& cost = planned.ranks[rank];
    const double total = cost.bytes() + plan.memory.sum();
    json["ranks"].push_back({{"rank", rank},
                             {"bytes", total},
                             {"seconds", plan.step.ranks[rank].sum()},
                             {"tables_seconds", cost.seconds()},
                             {"memory",
                              {{"tables", cost.table_bytes},
                               {"optimizer_state", cost.state_bytes},
                               {"exchange", cost.buffer_bytes + plan.memory.vectors},
                               {"dense", plan.memory.parameters},
                               {"activations", plan.memory.activations},
                               {"reserved", plan.memory.reserved},
                               {"headroom", plan.cluster.memory_bytes - total}}},
                             {"phases", to_json(plan.step.ranks[rank])}});
  }
  json["tables"] = ordered_json::array();
  for (std::size_t t = 0; t < plan.tables.size(); ++t)
    json["tables"].push_back(table_json(plan.tables[t], planned.plan.tables[t]));
  const bool has_grid =
      std::ranges::any_of(planned.plan.tables, [](const TablePlan& table) { return table.sharding == Sharding::grid; });
  if (has_grid) json["note"] = "tables of sharding grid are planned on paper; the trainer here divides one way only";
  return json;
}

std::string plan_text(const ClusterPlan& plan) {
  const PlannedTables& planned = plan.planned;
  std::string text = fmt::format("swallowtail: plan for {} ranks of {}, batch {:.0f}\n", plan.setting.world_size,
                                 plan.cluster.name, plan.setting.batch);
  text += fmt::format("  {:<20} {:<14} {:>12} {:>5} {:>7}  {}\n", "table", "sharding", "rows", "dim", "ids", "ranks");
  for (std::size_t t = 0; t < plan.tables.size(); ++t) {
    const TableSpec& spec = plan.tables[t];
    text +=
        fmt::format("  {:<20} {:<14} {:>12} {:>5} {:>7.1f}  {}\n", spec.name, name_of(planned.plan.tables[t].sharding),
                    grouped(spec.rows), spec.dim, spec.mean_ids, ranks_text(planned.plan.tables[t]));
  }
  const StepPhases& of = plan.step.critical;
  text += fmt::format("\n  time of a step on the critical rank, {}:\n", plan.step.critical_rank);
  ordered_json phases = to_json(of);
  phases["waiting"] = plan.step.waiting_s;
  phases["hidden"] = -plan.step.hidden_s;
  for (const auto& [name, seconds] : phases.items())
    if (seconds.get<double>() != 0)
      text += fmt::format("    {:<18} {:>10.3f} ms {:>6.1f} %\n", name, seconds.get<double>() * 1e3,
                          seconds.get<double>() / plan.step.step_s * 100);
  text += fmt::format("    {:<18} {:>10.3f} ms: {:.0f} samples/s; no plan's step is below {:.3f} ms\n", "step",
                      plan.step.step_s * 1e3, plan.samples_per_s(), plan.lower_bound_s * 1e3);
  text += fmt::format("    exchanges not hidden: {:.3f} ms\n\n", plan.step.exposed_s * 1e3);
  text += fmt::format(
      "  load of the tables: largest {:.1f} us, mean {:.1f} us, imbalance {:.3f}; no plan's largest is below {:.1f} "
      "us\n",
      planned.max_seconds() * 1e6, planned.mean_seconds() * 1e6, imbalance(planned), planned.bound.seconds * 1e6);
  const auto fullest = std::ranges::max(planned.ranks, {}, &ShardCost::bytes);
  text += fmt::format(
      "  memory of the fullest rank: tables {}, optimizer state {}, exchange {}, dense {}, activations {}, "
      "reserved {}; {} left\n",
      readable_bytes(fullest.table_bytes), readable_bytes(fullest.state_bytes),
      readable_bytes(fullest.buffer_bytes + plan.memory.vectors), readable_bytes(plan.memory.parameters),
      readable_bytes(plan.memory.activations), readable_bytes(plan.memory.reserved),
      readable_bytes(plan.headroom_bytes()));
  const auto [bound, seconds] = bound_by(plan);
  text += fmt::format("  most of the time goes to {} ({:.0f} %)", bound, seconds / plan.step.step_s * 100);
  if (plan.changes.empty()) return text + "; no cheap change helps by more than 1 %\n";
  text += fmt::format("; the next change to try: {} ({:+.0f} % samples/s)\n", plan.changes.front().change,
                      (plan.changes.front().samples_per_s / plan.samples_per_s() - 1) * 100);
  return text;
}

}  // namespace swallowtail
