// Embedding tables as the experiment names them: embedding.* with the overrides of embedding.tables.<name>.
#pragma once

#include <string_view>
#include <vector>

#include "trainer/config/experiment.h"
#include "trainer/data/batch.h"
#include "trainer/embedding/embedding_table.h"

namespace swallowtail {

/// One table a categorical feature, in the features' order.
/// Errors: usage where embedding.tables names a table that does not exist (with the nearest name).
std::vector<EmbeddingTable> tables_of_features(const Experiment& experiment, const DataShape& shape);

/// "sgd", "adagrad", … as the schema spells them.
Optimizer parse_optimizer(std::string_view name);

}  // namespace swallowtail
