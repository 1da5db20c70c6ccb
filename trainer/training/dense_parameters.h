// A model's parameters as one flat array, with gradient, optimizer state and weight average beside it. The model's
// tensors are views of the array, so the reduction over ranks, the optimizer and a checkpoint see one array and no
// copies.
#pragma once

#include <torch/torch.h>

#include <optional>
#include <string>
#include <vector>

#include "kernels/optimizer.h"
#include "kernels/weight_average.h"
#include "trainer/config/experiment.h"

namespace swallowtail {

class DenseParameters {
 public:
  struct Entry {
    std::string name;
    std::vector<std::int64_t> shape;
    std::int64_t first = 0, size = 0;  // within the flat arrays
  };

  /// Moves the model's parameters into the flat array, in the order of named_parameters().
  DenseParameters(torch::nn::Module& model, const Experiment& experiment);

  std::int64_t size() const noexcept { return static_cast<std::int64_t>(weights_.size()); }
  std::span<const Entry> entries() const noexcept { return entries_; }
  std::span<float> weights() noexcept { return weights_; }
  std::span<float> gradient() noexcept { return gradient_; }
  std::span<float> state() noexcept { return state_; }
  std::span<float> average() noexcept { return average_; }  // empty without averaging

  void zero_gradient();
  /// Name of the parameter that holds the first non-finite gradient, or nothing.
  std::optional<std::string> non_finite_gradient() const;
  /// Scales the gradient down to the norm `limit` (L2, all dense parameters together); 0 leaves it.
  void clip_gradient(double limit);
  /// One optimizer step at base rate * factor; updates the average. `step` counts from 1.
  void update(std::int64_t step, double rate_factor);
  /// Exchanges weights and average; a second call undoes it. For evaluation of the average.
  void swap_average();
  double learning_rate() const noexcept { return optimizer_.learning_rate; }
  const OptimizerStep& optimizer() const noexcept { return optimizer_; }  // the base rate

 private:
  std::vector<Entry> entries_;
  std::vector<float> weights_, gradient_, state_, average_;
  OptimizerStep optimizer_;
  std::optional<Averaging> averaging_;
};

}  // namespace swallowtail
