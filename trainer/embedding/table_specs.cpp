#include "trainer/embedding/table_specs.h"

namespace swallowtail {

std::vector<TableSpec> table_specs(std::span<const EmbeddingTable> tables) {
  std::vector<TableSpec> specs;
  for (const EmbeddingTable& table : tables) {
    TableSpec& spec = specs.emplace_back();
    spec.name = table.name;
    spec.rows = table.rows;
    spec.dim = table.dim;
    spec.mean_ids = table.mean_ids;
    spec.zipf = table.zipf;
    spec.state_per_row = sparse_state_width(table.optimizer.kind, table.dim);
    spec.state_is_by_row = table.optimizer.kind == Optimizer::rowwise_adagrad;
    spec.sharding = table.sharding;
    spec.hashed_rows = table.hashed_rows;
  }
  return specs;
}

}  // namespace swallowtail
