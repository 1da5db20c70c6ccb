// From the tables of a model to the plan of who holds what.
#pragma once

#include <span>
#include <vector>

#include "parallel/communicator.h"
#include "parallel/sharding/sharding_plan.h"
#include "trainer/embedding/embedding_table.h"

namespace swallowtail {

std::vector<TableSpec> table_specs(std::span<const EmbeddingTable> tables);

/// The plan of a run. The same on every rank without a message.
ShardingPlan plan_tables(std::span<const EmbeddingTable> tables, const Communicator& ranks);

}  // namespace swallowtail
