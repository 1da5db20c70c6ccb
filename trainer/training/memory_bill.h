// What a run will need of memory, rank by rank, before its first step: stated, and refused where the machine has less.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>

#include "parallel/communicator.h"
#include "parallel/sharding/sharding_plan.h"
#include "trainer/config/experiment.h"
#include "trainer/embedding/embedding_table.h"

namespace swallowtail {

struct BillInput {
  std::span<const EmbeddingTable> tables;
  const ShardingPlan& plan;
  std::int64_t dense_parameters = 0;
  std::int64_t dense_features = 0;
  std::int64_t activations = 0;  // floats a sample (DensePass)
};

/// {world_size, ranks [{rank, tables, optimizer_state, weight_average, dense, exchange, activations, batches,
/// checkpoint, libraries, total}] in bytes, node_bytes, available_bytes, fits}. Collective; the same on every rank.
nlohmann::json memory_bill(const Experiment& experiment, const BillInput& input, Communicator& ranks);

/// Bytes of `samples` samples of a batch.
std::int64_t batch_bytes(std::span<const EmbeddingTable> tables, std::int64_t dense_features, std::int64_t samples);

/// Errors: resources where `bill` says that it does not fit.
void refuse_what_does_not_fit(const nlohmann::json& bill);

}  // namespace swallowtail
