// The dense part of one step on this rank: from dense features and pooled vectors to logits, and back to the gradients
// of parameters and pooled vectors. A model may have one that is written by hand (Model::dense_pass); for the others
// training/autograd_pass.h makes one of forward() and autograd.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

namespace swallowtail {

struct DenseInput {
  std::int64_t samples = 0;      // of the local batch
  const float* dense = nullptr;  // [samples, dense features]; stays as it is until the last train()
  std::uint64_t seed = 0;        // with step and first_sample: the key of dropout
  std::int64_t step = 0;
  std::int64_t first_sample = 0;  // place of the local batch within the global one
  bool fixed_order = false;       // sums over samples must not depend on the number of threads
  bool fresh = false;             // the parameters' gradients count as zero, whatever stands there
};

/// What a pass asks of the step that it is part of.
struct StepHooks {
  /// The loss of samples [begin, end) of the local batch from their logits, and its derivative by each. Called by any
  /// thread, for disjoint samples.
  std::function<double(std::int64_t begin, std::int64_t end, const float* logits, float* logit_gradients)> loss;
  /// Called now and then by the thread that called train().
  std::function<void()> progress;
};

/// Parts [begin, end) of the local batch, in their order, each trained once. All bottoms may come before the first of
/// them; train() makes up for those that did not.
class DensePass {
 public:
  virtual ~DensePass() = default;
  /// What a sample of the local batch takes in memory, for bills: activations and their gradients.
  virtual std::int64_t floats_a_sample() const = 0;
  virtual void begin(const DenseInput& input) = 0;
  /// What needs no pooled vectors.
  virtual void bottom(std::int64_t begin, std::int64_t end) = 0;
  /// Forward, loss and backward. Adds to the parameters' gradients; overwrites [begin, end) of the pooled gradients,
  /// laid out as `pooled`: one pointer a table to [samples, its dim] of the local batch. logits [end - begin], one
  /// label. Returns the loss.
  virtual double train(std::int64_t begin, std::int64_t end, std::span<const float* const> pooled,
                       std::span<float* const> pooled_gradients, float* logits, const StepHooks& hooks) = 0;
};

}  // namespace swallowtail
