// DLRM's dense part by hand: what Dlrm::forward and its autograd do, on buffers that live from step to step. Threads
// take rows of the batch, a few at a time all the way to the loss and back, so that they stay in the second-level
// cache; then, when all rows have passed, each takes its part of the weights' gradients.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/huge_pages.h"
#include "trainer/models/plain_cross.h"
#include "trainer/models/plain_mlp.h"

namespace swallowtail {

struct DlrmParts {
  std::int64_t dense = 0, dim = 16;
  std::int64_t vectors = 0;  // tables that take part in the interaction; those behind them are linear terms
  bool dot = true, itself = false;
  MlpImpl* bottom = nullptr;      // null without dense features
  CrossNetImpl* cross = nullptr;  // over the concatenated vectors; null where they meet otherwise
  MlpImpl* top = nullptr;
  torch::Tensor dense_linear;  // [dense, 1], or undefined
};

class DlrmPass : public DensePass {
 public:
  explicit DlrmPass(const DlrmParts& parts);
  std::int64_t floats_a_sample() const override;
  void begin(const DenseInput& input) override;
  void bottom(std::int64_t begin, std::int64_t end) override;
  double train(std::int64_t begin, std::int64_t end, std::span<const float* const> pooled,
               std::span<float* const> pooled_gradients, float* logits, const StepHooks& hooks) override;

 private:
  struct Vectors {  // of the batch, and their gradients: one pointer a table
    std::span<const float* const> pooled;
    std::span<float* const> gradients;
  };
  void bottom_rows(const RowRange& rows);
  void interact(const RowRange& rows, const Vectors& vectors);
  void interact_backward(const RowRange& rows, const Vectors& vectors);
  const float* top_input() const { return cross_ ? cross_->output() : crossed_.data(); }
  void add_linear(const RowRange& rows, const Vectors& vectors, float* logits) const;
  void linear_backward(std::int64_t begin, std::int64_t end);

  DlrmParts parts_;
  std::optional<PlainMlp> bottom_;
  std::optional<PlainCross> cross_;
  PlainMlp top_;
  DenseInput input_;
  int threads_ = 1;
  std::int64_t bottom_end_ = 0;                   // rows below have their first vector
  bool is_fresh_ = false;                         // no part of this step has been trained, and input.fresh
  HugeVector<float> dense_;                       // [samples, padded(dense)]
  HugeVector<float> first_, first_gradient_;      // [samples, padded(dim)] the bottom's vector
  HugeVector<float> crossed_, crossed_gradient_;  // [samples, padded(width)] what the vectors make together
  HugeVector<float> logit_gradients_;             // [samples]
  HugeVector<float> top_gradient_;                // [samples, padded(1)]
};

}  // namespace swallowtail
