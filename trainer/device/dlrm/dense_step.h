// What a training step does with the dense part: its place in the run (rates, step, loss scale) in device memory, loss,
// gradients, the search for numbers that went bad, the optimizer. Shared by the trainers of one rank (dlrm_trainer.h)
// and of several (sharded_trainer.h), which put tables and exchanges between the calls. Not thread-safe.
#pragma once

#include <optional>

#include "kernels/cuda/dense_update.h"
#include "kernels/weight_average.h"
#include "trainer/device/device_trainer.h"
#include "trainer/device/dlrm/dense_arrays.h"
#include "trainer/device/dlrm/device_dlrm.h"

namespace swallowtail {

class DenseStep {
 public:
  /// What a step leaves for the host to look at.
  struct Result {
    double loss_sum = 0, squares = 0;
    unsigned long long bad_gradient = 0, bad_pooled = 0, bad_row = 0;
  };
  struct Place {
    std::int64_t step = 1;
    double rate_factor = 1;
    std::int64_t batch_samples = 0, first_sample = 0;  // of the global batch; the first one here
  };

  DenseStep(const DeviceModel& model, cuda::Stream& stream);

  DeviceDlrm& network() noexcept { return network_; }
  DenseArrays& arrays() noexcept { return arrays_; }
  LossScale& scale() noexcept { return scale_; }
  const std::optional<Averaging>& averaging() const noexcept { return averaging_; }
  const cuda::StepFacts* facts() const noexcept { return facts_.data(); }
  unsigned long long* bad_row() noexcept { return &result_.data()->bad_row; }
  /// Whether a bad step is seen before anything is updated.
  bool looks_first() const { return skips_bad_steps_ || scale_.can_shrink(); }

  /// On the host, until the device has them.
  void set_facts(const Place& place);
  void send_facts();
  /// Loss and all gradients of the samples whose logits forward() has left; none without samples.
  void backward(const DeviceBatch& batch);
  /// For a gradient that is not finite; of all ranks' sum where there are several.
  void look_at_gradient();
  void update();
  void fetch_result();

  /// Once fetch_result() is done: without losses and rows.
  const Result& result() const noexcept { return *result_on_host_.data(); }
  DeviceOutcome outcome() const;
  bool overflowed() const;  // a pooled gradient; known where looks_first()
  /// Whether the step may update anything, by what is known of it before. overflowed: a pooled gradient, of any rank.
  bool is_good(const DeviceOutcome& outcome, bool overflowed) const;
  std::vector<float> logits(std::int64_t samples);

 private:
  PaddedParameters layout_;
  OptimizerStep optimizer_;
  cuda::ClickLoss loss_;
  double clip_norm_;
  bool skips_bad_steps_;
  cuda::Stream& stream_;
  std::optional<Averaging> averaging_;
  DeviceDlrm network_;
  DenseArrays arrays_;
  LossScale scale_;
  cuda::PinnedBuffer<cuda::StepFacts> facts_on_host_{1};
  cuda::DeviceBuffer<cuda::StepFacts> facts_{1};
  cuda::DeviceBuffer<Result> result_{1};
  cuda::PinnedBuffer<Result> result_on_host_{1};
  cuda::SquaresScratch squares_;
};

}  // namespace swallowtail
