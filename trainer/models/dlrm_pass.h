// DLRM's dense part by hand: what Dlrm::forward and its autograd do, on buffers that live from step to step, with the
// rows of the batch shared among threads.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "trainer/models/plain_mlp.h"

namespace swallowtail {

struct DlrmParts {
  std::int64_t dense = 0, dim = 16;
  std::int64_t vectors = 0;  // tables that take part in the interaction; those behind them are linear terms
  bool dot = true, itself = false;
  MlpImpl *bottom = nullptr, *top = nullptr;  // no bottom without dense features
  torch::Tensor dense_linear;                 // [dense, 1], or undefined
};

class DlrmPass : public DensePass {
 public:
  explicit DlrmPass(const DlrmParts& parts);
  void begin(const DenseInput& input) override;
  void bottom(std::int64_t begin, std::int64_t end) override;
  void forward(std::int64_t begin, std::int64_t end, std::span<const float* const> pooled, float* logits) override;
  void backward(std::int64_t begin, std::int64_t end, std::span<const float* const> pooled,
                std::span<float* const> pooled_gradients, const float* logit_gradients) override;

 private:
  void interact(const RowRange& rows, std::span<const float* const> pooled);
  void interact_backward(const RowRange& rows, std::span<const float* const> pooled,
                         std::span<float* const> pooled_gradients);

  DlrmParts parts_;
  std::optional<PlainMlp> bottom_;
  PlainMlp top_;
  DenseInput input_;
  int threads_ = 1;
  std::vector<float> dense_;                       // [samples, padded(dense)]
  std::vector<float> first_, first_gradient_;      // [samples, dim] the bottom's vector
  std::vector<float> crossed_, crossed_gradient_;  // [samples, padded(width)]
  std::vector<float> plain_, top_gradient_;        // [samples, width] as the kernel writes it; [samples, padded(1)]
};

}  // namespace swallowtail
