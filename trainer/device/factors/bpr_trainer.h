// BPR-MF's training step on one device: both tables, the items' bias and their optimizers' state lie there, and
// FactorSteps::bpr does the rest. Where the number of triplets repeats, the work is recorded into a CUDA graph and
// replayed: about forty launches become one.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "trainer/device/factor_trainer.h"
#include "trainer/device/factors/triplet_block.h"

namespace swallowtail {

class BprTrainer final : public FactorTrainer {
 public:
  explicit BprTrainer(const FactorModel& model);
  ~BprTrainer() override;
  void upload(std::span<const TableShard> shards) override;
  void download(std::span<TableShard> shards) override;
  void stage(std::int64_t step, const FactorBatch& batch) override;
  bool is_staged(std::int64_t step) const override { return slot_of(step).step == step; }
  void start(std::int64_t step, double rate_factor) override;
  FactorOutcome finish() override;
  std::int64_t replayed_steps() const override { return replayed_steps_; }

 private:
  struct Held {
    cuda::DeviceBuffer<float> weights, state;
  };
  struct Slot {
    TripletBlock block;
    cuda::Event arrived;
    std::int64_t step = -1;       // whose triplets it holds
    std::int64_t done_size = -1;  // triplets of the work that was last done from it
    std::unique_ptr<cuda::Graph> graph;
  };
  Slot& slot_of(std::int64_t step) { return slots_[static_cast<std::size_t>(step % 2)]; }
  const Slot& slot_of(std::int64_t step) const { return slots_[static_cast<std::size_t>(step % 2)]; }
  void launch(const TripletBlock& block);

  FactorModel model_;
  std::vector<EmbeddingTable> tables_;  // users, items, bias
  cuda::Stream stream_, copies_;
  std::vector<Held> held_;  // [tables]
  std::optional<cuda::FactorSteps> steps_;
  cuda::PinnedBuffer<cuda::Rates> rates_;
  cuda::DeviceBuffer<cuda::Rates> device_rates_;
  cuda::PinnedBuffer<cuda::FactorResult> result_;
  cuda::DeviceBuffer<cuda::FactorResult> device_result_;
  cuda::PinnedBuffer<float> losses_;  // is_exact only
  std::array<Slot, 2> slots_;         // of odd and even steps
  std::int64_t under_way_ = 0, most_triplets_ = 0, replayed_steps_ = 0;
};

}  // namespace swallowtail
