// A DLRM's training step on one device, all of it: read gradients() and updates() from top to bottom. Where the shapes
// of a batch repeat, the work is recorded into a CUDA graph and replayed: about fifty launches become one.
// The next batch is packed and sent on its own stream while this one is computed.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>

#include "kernels/cuda/dense_update.h"
#include "trainer/device/device_trainer.h"
#include "trainer/device/dlrm/dense_arrays.h"
#include "trainer/device/dlrm/device_dlrm.h"
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
  std::vector<float> logits() override;
  std::vector<float> predict(const Batch& batch, bool averaged) override;
  void settle(std::int64_t step) override;
  std::int64_t replayed_steps() const override { return replayed_steps_; }

 private:
  /// What a step leaves for the host to look at.
  struct Result {
    double loss_sum = 0, squares = 0;
    unsigned long long bad_gradient = 0, bad_pooled = 0, bad_row = 0;
  };
  /// The host's words to a step, page-locked, and the device's copy.
  struct Facts {
    cuda::PinnedBuffer<cuda::StepFacts> pinned{1};
    cuda::PinnedBuffer<cuda::Rates> rates;
    cuda::DeviceBuffer<cuda::StepFacts> device{1};
  };
  struct Slot {
    InputBlock block;
    cuda::Event arrived;
    std::int64_t step = -1;                  // whose batch it holds
    std::optional<InputBlock::Shape> shape;  // of the work that was last done from it
    std::unique_ptr<cuda::Graph> first, second;
  };

  void fill(Slot& slot, const Batch& batch, std::int64_t step);
  void set_facts(const DeviceStepInput& input);
  void gradients(const InputBlock& block);
  void updates(const InputBlock& block);
  void fetch_result();
  /// Does `work` from the slot: as it is the first time, recorded from then on.
  void perform(Slot& slot, std::unique_ptr<cuda::Graph>& graph, const std::function<void()>& work);
  void forget_graphs();
  bool looks_first() const { return model_.skips_bad_steps || scale_.can_shrink(); }

  DeviceModel model_;
  PaddedParameters layout_;
  cuda::Stream stream_, copies_;
  std::optional<Averaging> averaging_;
  DeviceDlrm network_;
  DeviceTableSet tables_;
  DenseArrays dense_;
  LossScale scale_;
  Facts facts_;
  cuda::DeviceBuffer<Result> result_{1};
  cuda::PinnedBuffer<Result> result_on_host_{1};
  cuda::SquaresScratch squares_;
  std::array<Slot, 2> slots_;
  int turn_ = 0;
  InputBlock prediction_;
  std::int64_t last_samples_ = 0, most_samples_ = 0, most_ids_ = 0, replayed_steps_ = 0;
  bool replayed_ = false;
};

}  // namespace swallowtail
