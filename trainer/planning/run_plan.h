// The sharding plan of a run on the ranks at hand.
#pragma once

#include <span>

#include "parallel/communicator.h"
#include "parallel/sharding/sharding_plan.h"
#include "trainer/config/experiment.h"
#include "trainer/data/batch.h"
#include "trainer/embedding/embedding_table.h"

namespace swallowtail {

/// Tables without a wish (embedding.sharding: auto) are divided as the planner finds best under the constants of the
/// built-in cluster `cpu`, which are measured nowhere: the same on every rank and in every run, without a message.
ShardingPlan plan_run(const Experiment& experiment, const DataShape& shape, std::span<const EmbeddingTable> tables,
                      const Communicator& ranks);

}  // namespace swallowtail
