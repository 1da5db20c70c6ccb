// The tables of a model as the planner sees them.
#pragma once

#include <span>
#include <vector>

#include "parallel/sharding/sharding_plan.h"
#include "trainer/embedding/embedding_table.h"

namespace swallowtail {

std::vector<TableSpec> table_specs(std::span<const EmbeddingTable> tables);

}  // namespace swallowtail
