// What an embedding table of a model is: which feature's ids look rows up, how rows are initialised, pooled and
// updated.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "kernels/embedding.h"
#include "kernels/optimizer.h"
#include "parallel/sharding/table.h"

namespace swallowtail {

enum class EmbeddingInit : std::uint8_t { uniform, normal, zero };

struct EmbeddingTable {
  std::string name;
  std::int64_t feature = 0;  // index among DataShape::categorical; several tables may share a feature
  std::int64_t rows = 0, dim = 0;
  double mean_ids = 1;  // ids a sample
  Pooling pooling = Pooling::sum;
  EmbeddingInit init = EmbeddingInit::uniform;
  float init_scale = 0;     // half width of the uniform, standard deviation of the normal
  OptimizerStep optimizer;  // kind and constants; learning_rate is the base rate, step is set at each update
  float initial_accumulator = 0;
  double zipf = 0;                     // exponent of the ids' distribution, where it is known
  std::optional<Sharding> sharding{};  // nothing: the planner chooses
  bool hashed_rows = true;             // row-wise: rows spread over the blocks (parallel/sharding/row_order.h)
};

}  // namespace swallowtail
