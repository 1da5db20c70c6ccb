// The dense part of one step on this rank: from dense features and pooled vectors to logits, and back to the gradients
// of parameters and pooled vectors. A model may have one that is written by hand (Model::dense_pass); for the others
// training/autograd_pass.h makes one of forward() and autograd.
#pragma once

#include <cstdint>
#include <span>

namespace swallowtail {

struct DenseInput {
  std::int64_t samples = 0;      // of the local batch
  const float* dense = nullptr;  // [samples, dense features]; stays as it is until backward
  std::uint64_t seed = 0;        // with step and first_sample: the key of dropout
  std::int64_t step = 0;
  std::int64_t first_sample = 0;  // place of the local batch within the global one
  bool fixed_order = false;       // sums over samples must not depend on the number of threads
};

/// Parts [begin, end) of the local batch; each goes through bottom, forward and backward once, in this order. All
/// bottoms may come before the first forward.
class DensePass {
 public:
  virtual ~DensePass() = default;
  virtual void begin(const DenseInput& input) = 0;
  /// What needs no pooled vectors.
  virtual void bottom(std::int64_t begin, std::int64_t end) = 0;
  /// pooled: one pointer a table to [samples, its dim] of the local batch. logits [end - begin], one label.
  virtual void forward(std::int64_t begin, std::int64_t end, std::span<const float* const> pooled, float* logits) = 0;
  /// Adds to the parameters' gradients; overwrites [begin, end) of the pooled gradients, laid out as `pooled`.
  virtual void backward(std::int64_t begin, std::int64_t end, std::span<const float* const> pooled,
                        std::span<float* const> pooled_gradients, const float* logit_gradients) = 0;
};

}  // namespace swallowtail
