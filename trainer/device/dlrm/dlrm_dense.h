// The dense part of DLRM on a device, between the host's exchanges: pooled vectors are sent up, their gradients and the
// parameters' come down. Tables, optimizers and sums over ranks are the host's.
#pragma once

#include "trainer/device/device_trainer.h"
#include "trainer/device/dlrm/dense_arrays.h"
#include "trainer/device/dlrm/device_dlrm.h"

namespace swallowtail {

class DlrmDense final : public DeviceDense {
 public:
  explicit DlrmDense(const DeviceModel& model);
  void begin(std::span<const float> parameters, std::int64_t samples, const float* dense, std::int64_t step,
             std::int64_t first_sample) override;
  void forward(std::span<const float* const> pooled, bool training, float* logits) override;
  void backward(const float* logit_gradients, std::span<float* const> pooled_gradients,
                std::span<float> gradient) override;

 private:
  DeviceBatch batch() const { return {samples_, dense_input_.data(), nullptr, nullptr}; }
  std::int64_t dim_of(std::size_t table) const { return model_.tables[table].dim; }

  DeviceModel model_;
  PaddedParameters layout_;
  cuda::Stream stream_;
  DeviceDlrm network_;
  DenseArrays dense_;
  std::int64_t samples_ = 0;
  cuda::DeviceBuffer<float> dense_input_, logit_gradient_;
  cuda::PinnedBuffer<float> dense_on_host_, vectors_;  // vectors_ [samples, width]: pooled, then their gradients
  cuda::PinnedBuffer<cuda::StepFacts> facts_on_host_{1};
  cuda::DeviceBuffer<cuda::StepFacts> facts_{1};
  std::vector<float> gradient_;
};

}  // namespace swallowtail
