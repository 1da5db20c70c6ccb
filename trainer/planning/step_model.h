// How long a training step takes: the phases of DESIGN section 3 from a plan's costs by rank, a model of the exchanges
// and the times of the dense part. The constants come from a cluster file (cluster_constants) or from measurements on
// the machine at hand (training/step_probe.h); what is done with them is the same.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "parallel/all_to_all/cost_model.h"
#include "parallel/sharding/planner.h"
#include "trainer/planning/cluster.h"
#include "trainer/planning/dense_work.h"

namespace swallowtail {

struct StepConstants {
  EmbeddingCosts embedding;
  std::shared_ptr<const CostModel> exchange;  // null: one rank
  double copy_byte_s = 0;                     // of vectors beside the exchange: packing and placing
  double id_byte_s = 0;   // of the input exchange, all in all, where it was measured (0: link_byte_s and extra)
  std::string algorithm;  // of the exchanges; empty: the fastest
  double bottom_forward_s = 0, forward_s = 0;  // the bottom MLP, and the rest of the dense part
  double bottom_backward_s = 0, backward_s = 0;
  double all_reduce_s = 0;  // of the dense gradients
  double dense_update_s = 0;
  double overhead_s = 0;  // of a step, whatever its size
  double data_s = 0;      // batches that are made on the cores that train
  bool overlaps = false;  // exchanges run beside arithmetic on hardware of their own
};

/// Seconds, in the order of the step; an exchange whole, whether it is hidden or not.
struct StepPhases {
  double data = 0, input_exchange = 0, lookup = 0, shuffle = 0, mlp_forward = 0, mlp_backward = 0, gradient_shuffle = 0,
         all_reduce = 0, embedding_update = 0, dense_update = 0, overhead = 0;
  double sum() const noexcept;
};

struct StepPrediction {
  std::vector<StepPhases> ranks;  // [world_size]
  StepPhases critical;            // of the rank that the others wait for longest
  double waiting_s = 0;           // of the critical rank for others that are later in single phases
  double hidden_s = 0;            // exchanges and reductions that run beside arithmetic
  double exposed_s = 0;           // those that do not
  double step_s = 0;              // critical.sum() + waiting_s - hidden_s
  int critical_rank = 0;
};

StepPrediction predict_step(std::span<const ShardCost> ranks, const StepConstants& constants);

/// {"data": s, "input_exchange": s, …}
nlohmann::ordered_json to_json(const StepPhases& phases);

/// What a step is made of, beside the plan.
struct StepSetting {
  double batch = 0;  // global
  int world_size = 1;
  bool exact = false;                            // train.deterministic
  bool overlaps = true;                          // parallel.overlap
  double forward_bytes = 4, backward_bytes = 4;  // a float on the wire
  bool is_bf16 = false;                          // the dense part on a GPU
  double dense_state = 0;                        // floats of optimizer state a dense parameter
  std::size_t tables = 0;
};

StepConstants cluster_constants(const Cluster& cluster, const DenseWork& dense, const StepSetting& setting);

/// Bytes of one rank that are not its shards.
struct DenseMemory {
  double parameters = 0, activations = 0, vectors = 0, reserved = 0;
  double sum() const noexcept { return parameters + activations + vectors + reserved; }
};
DenseMemory dense_memory(const Cluster& cluster, const DenseWork& dense, const StepSetting& setting);

}  // namespace swallowtail
