// A DLRM's training step on one device, all of it: read gradients() and updates() from top to bottom. Where the shapes
// of a batch repeat, the work is recorded into a CUDA graph and replayed: about fifty launches become one.
// The next batch is packed and sent on its own stream while this one is computed; so are its rows of tables that are
// cached brought. A recorded step takes slots for ids, and the caches' lines stay where they are.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>

#include "trainer/device/device_trainer.h"
#include "trainer/device/dlrm/dense_step.h"
#include "trainer/device/dlrm/device_tables.h"
#include "trainer/device/dlrm/input_block.h"

namespace swallowtail {

class DlrmTrainer final : public DeviceTrainer {
 public:
  explicit DlrmTrainer(const DeviceModel& model);
  ~DlrmTrainer() override;
  void upload(const HostParameters& from) override;
  void download(const HostParameters& to) override;
  DeviceOutcome step(const DeviceStepInput& input) override;
  std::vector<float> logits() override { return dense_.logits(last_samples_); }
  std::vector<float> predict(const DeviceScoreInput& input) override;
  void settle(std::int64_t step) override;
  std::int64_t replayed_steps() const override { return replayed_steps_; }
  std::vector<RowCacheUse> row_caches() const override { return tables_.caches().use(); }

 private:
  struct Slot {
    InputBlock block;
    cuda::Event arrived;
    std::int64_t step = -1;                  // whose batch it holds
    std::optional<InputBlock::Shape> shape;  // of the work that was last done from it
    std::unique_ptr<cuda::Graph> first, second;
  };

  void fill(Slot& slot, const Batch& batch, std::int64_t step, TableCaches::Beside beside);
  /// Until the rows of the slot's batch are in their caches; no step may be under way.
  void wait_for_rows(Slot& slot);
  /// Errors: resources, where the last prefetch was of a batch that does not fit.
  void refuse_rows_without_room(const char* batch_size_key) const;
  /// Before something else uses the caches: batches that were filled are filled again when their steps come.
  void forget_prefetched();
  void gradients(const InputBlock& block);
  void updates(const InputBlock& block);
  /// Does `work` from the slot: as it is the first time, recorded from then on.
  void perform(Slot& slot, std::unique_ptr<cuda::Graph>& graph, const std::function<void()>& work);
  void forget_graphs();

  DeviceModel model_;
  cuda::Stream stream_, copies_;
  DenseStep dense_;
  DeviceTableSet tables_;
  cuda::PinnedBuffer<cuda::Rates> rates_;
  std::array<Slot, 2> slots_;
  int turn_ = 0;
  InputBlock prediction_;
  std::int64_t last_samples_ = 0, most_samples_ = 0, most_ids_ = 0, replayed_steps_ = 0;
  bool replayed_ = false;
};

}  // namespace swallowtail
