// A DLRM's training step on several ranks, a device each: read step() from top to bottom. Ids go their way over the
// hosts (ShardedEmbedding's exchange, the next batch's while this one is trained) and are packed for the device when
// they have come; all else lies and stays on the devices: shards, vectors, dense copies, gradients, optimizers. Vectors
// and gradients are exchanged, and the dense gradients summed, beside the arithmetic (device_ranks.h). Steps are
// launched one by one: a recorded graph has no place for the hosts' part of a collective. Every rank makes the same
// calls. Not thread-safe.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "trainer/device/device_trainer.h"
#include "trainer/device/dlrm/dense_step.h"
#include "trainer/device/dlrm/device_ranks.h"
#include "trainer/device/dlrm/input_block.h"
#include "trainer/device/dlrm/sharded_tables.h"

namespace swallowtail {

class ShardedTrainer final : public DeviceTrainer {
 public:
  ShardedTrainer(const DeviceModel& model, const DeviceRanksOptions& ranks, int device);
  ~ShardedTrainer() override;
  void upload(const HostParameters& from) override;
  void download(const HostParameters& to) override;
  DeviceOutcome step(const DeviceStepInput& input) override;
  std::vector<float> logits() override { return dense_.logits(last_samples_); }
  std::vector<float> predict(const DeviceScoreInput& input) override;
  void settle(std::int64_t step) override;
  std::int64_t replayed_steps() const override { return 0; }

 private:
  struct Slot {
    InputBlock block;
    cuda::Event arrived;
    std::int64_t step = -1;  // whose batch it holds
  };

  void fill(Slot& slot, const Batch& batch, std::span<const std::int64_t> batch_sizes, std::int64_t step);
  void reserve(std::span<const std::int64_t> batch_sizes);
  DeviceBatch forward(const InputBlock& block, const DeviceParameterViews& views, bool training);
  /// What the hosts tell each other of a step before anything is updated. True where a pooled gradient overflowed.
  bool agree(const DeviceStepInput& input, DeviceOutcome& outcome);

  ShardedEmbedding& embedding_;
  Communicator& hosts_;
  std::int64_t dense_features_;
  cuda::Stream stream_, copies_;
  DeviceRanks devices_;
  DenseStep dense_;
  ShardedTables tables_;
  cuda::PinnedBuffer<cuda::Rates> rates_;
  std::array<Slot, 2> slots_;
  int turn_ = 0;
  InputBlock prediction_;
  std::int64_t last_samples_ = 0;
};

}  // namespace swallowtail
