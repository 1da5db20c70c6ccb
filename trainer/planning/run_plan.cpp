#include "trainer/planning/run_plan.h"

#include "parallel/sharding/planner.h"
#include "trainer/embedding/table_specs.h"
#include "trainer/planning/cluster_plan.h"

namespace swallowtail {

ShardingPlan plan_run(const Experiment& experiment, const DataShape& shape, std::span<const EmbeddingTable> tables,
                      const Communicator& ranks) {
  const StepSetting setting = step_setting({experiment, shape, tables, ranks.world_size()});
  const StepConstants constants =
      cluster_constants(load_cluster("cpu"), dense_work(experiment, shape, tables), setting);
  return plan_auto(table_specs(tables), ranks.node_of(), {.costs = constants.embedding}).plan;
}

}  // namespace swallowtail
