// A rank's work on a device, for callers that need not know how: whole training steps, where one rank holds all tables
// or each rank's shards of them lie on its own device (DeviceTrainer), or the dense part alone, where tables stay on
// the host (DeviceDense). Models of two tables of factors: factor_trainer.h.
// This header and its room's files beside it are built always; dlrm/, factors/ and devices/ are built with a device
// (CUDA) or with the emulated one (tests/emulator), and say so by use_devices().
// Errors of all calls: Error (resources) where the device has no memory left or reports a failure.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/cuda/click_loss.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/row_cache_set.h"
#include "kernels/optimizer.h"
#include "trainer/data/batch.h"
#include "trainer/device/device_timing.h"
#include "trainer/device/dlrm_network.h"
#include "trainer/device/factor_trainer.h"
#include "trainer/device/loss_scale.h"
#include "trainer/embedding/embedding_table.h"
#include "trainer/embedding/table_shard.h"

namespace swallowtail {

class Communicator;
class ShardedEmbedding;

struct DeviceModel {
  std::vector<EmbeddingTable> tables;  // in the model's order
  DlrmNetwork network;
  std::int64_t parameters = 0;  // floats of the flat array that the network's places refer to
  OptimizerStep optimizer;      // of the dense parameters; rate and step are set at each step
  double average_decay = 0;     // 0: no weight average
  double clip_norm = 0;
  cuda::Precision precision = cuda::Precision::fp32;
  cuda::ClickLoss loss;
  std::optional<double> loss_scale{};  // fixed; nothing: LossScale's choice for the precision
  std::uint64_t seed = 0;
  bool skips_bad_steps = false;  // loss and gradient are looked at before anything is updated
  bool records_graphs = true;
  /// [tables] rows that a table's cache on the device has, its home being the host's memory; 0: the table lies on the
  /// device as a whole. Empty: all do (table_room.h). One rank only.
  std::vector<std::int64_t> cache_slots{};
  cuda::Eviction cache_eviction = cuda::Eviction::least_frequent;
};

/// The host's arrays: checkpoints are read and written there.
struct HostParameters {
  std::span<float> weights, state, average;  // flat, of the dense parameters; average empty without averaging
  std::span<TableShard> shards;              // of this rank; with one rank whole tables, in the order of their rows
};

/// How a table's row cache has served since the trainer was made; a row counts once a batch, also of evaluations.
struct RowCacheUse {
  std::int64_t table = 0, slots = 0;
  std::int64_t hits = 0, misses = 0, written_back = 0;
};

/// Batches are this rank's parts; sizes [ranks] are those of all ranks' parts.
struct DeviceStepInput {
  const Batch& batch;
  std::span<const std::int64_t> batch_sizes;
  std::int64_t step = 1;
  double rate_factor = 1;
  bool stop_requested = false;  // on this rank
  const Batch* next = nullptr;  // of the step after it, which stays as it is until then
  std::span<const std::int64_t> next_sizes{};
};

struct DeviceScoreInput {
  const Batch& batch;
  std::span<const std::int64_t> batch_sizes;
  std::int64_t step = 0;
  bool averaged = false;  // of the averaged weights, which settle() has brought up to date
};

struct DeviceOutcome {
  std::vector<double> losses;                   // [ranks] summed over the samples of each
  bool stop_requested = false;                  // on any rank
  std::optional<std::int64_t> bad_parameter{};  // the first place of a gradient that is not finite
  struct Row {
    std::int64_t table = 0, row = 0;
  };
  std::optional<Row> bad_row{};       // of this rank's shards
  bool updated = true;                // false: a bad step that was skipped
  std::optional<double> new_scale{};  // the loss scale changed
};

class DeviceTrainer {
 public:
  virtual ~DeviceTrainer() = default;
  /// Shards of cached tables stay where they are until the next upload or the end: their rows live there, and change
  /// while steps are trained. download() completes them.
  virtual void upload(const HostParameters& from) = 0;
  virtual void download(const HostParameters& to) = 0;
  virtual DeviceOutcome step(const DeviceStepInput& input) = 0;
  /// Logits of the last step or prediction, [its samples].
  virtual std::vector<float> logits() = 0;
  virtual std::vector<float> predict(const DeviceScoreInput& input) = 0;
  virtual void settle(std::int64_t step) = 0;
  /// Steps that were replayed from a recorded graph.
  virtual std::int64_t replayed_steps() const = 0;
  /// Of the cached tables.
  virtual std::vector<RowCacheUse> row_caches() const { return {}; }
};

/// The dense part of a rank's samples. All pointers are the host's; vectors come and gradients go by it.
class DeviceDense {
 public:
  virtual ~DeviceDense() = default;
  /// parameters [DeviceModel::parameters] as they are now; dense [samples, features].
  virtual void begin(std::span<const float> parameters, std::int64_t samples, const float* dense, std::int64_t step,
                     std::int64_t first_sample) = 0;
  /// pooled: one pointer a table to [samples, its dim].
  virtual void forward(std::span<const float* const> pooled, bool training, float* logits) = 0;
  /// Adds to `gradient` [DeviceModel::parameters]; overwrites the pooled gradients.
  virtual void backward(const float* logit_gradients, std::span<float* const> pooled_gradients,
                        std::span<float> gradient) = 0;
};

/// Ranks that train together, a device each, every one holding its shards of the tables.
struct DeviceRanksOptions {
  /// Of this rank, handed over to devices: it exchanges the ids. Outlives the trainer, as do the ranks.
  ShardedEmbedding& embedding;
  Communicator& ranks;  // hosts
  double timeout_s = 300;
};

struct DeviceBackend {
  int (*count)();  // devices that this process sees
  std::string (*name)(int device);
  std::int64_t (*free_bytes)(int device);
  /// These use `device` for this thread from now on. sharded: collective.
  std::unique_ptr<DeviceTrainer> (*trainer)(const DeviceModel& model, int device);
  std::unique_ptr<DeviceTrainer> (*sharded)(const DeviceModel& model, const DeviceRanksOptions& ranks, int device);
  std::unique_ptr<DeviceDense> (*dense)(const DeviceModel& model, int device);
  std::unique_ptr<FactorTrainer> (*factors)(const FactorModel& model, int device);
  std::vector<DeviceTiming> (*bench)(const DeviceBenchOptions& options, int device);
};

/// What the program was built with: null where use_devices() was not called, or had nothing to say.
const DeviceBackend* device_backend() noexcept;
void set_device_backend(const DeviceBackend* backend) noexcept;

/// Called once by a program that wants devices; defined where they are (devices/) or are not (no_devices/).
void use_devices();

}  // namespace swallowtail
