// The dense part of any model through Model::forward and autograd.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <vector>

#include "trainer/embedding/embedding_table.h"
#include "trainer/models/model.h"

namespace swallowtail {

class AutogradPass : public DensePass {
 public:
  /// Both outlive this. dense: features a sample.
  AutogradPass(Model& model, std::span<const EmbeddingTable> tables, std::int64_t dense)
      : model_(model), tables_(tables), dense_(dense) {}
  /// An estimate: input and output of every layer, and as much again for their gradients.
  std::int64_t floats_a_sample() const override;
  void begin(const DenseInput& input) override;
  void bottom(std::int64_t begin, std::int64_t end) override;
  double train(std::int64_t begin, std::int64_t end, std::span<const float* const> pooled,
               std::span<float* const> pooled_gradients, float* logits, const StepHooks& hooks) override;

 private:
  struct Part {
    ModelInput input;
  };

  Model& model_;
  std::span<const EmbeddingTable> tables_;
  std::int64_t dense_;
  DenseInput input_;
  bool has_trained_ = false;            // a part of this step
  std::map<std::int64_t, Part> parts_;  // by first sample
};

/// The model's own pass, or one through autograd where it has none or train.autograd asks for it.
std::unique_ptr<DensePass> dense_pass_of(const Experiment& experiment, Model& model,
                                         std::span<const EmbeddingTable> tables, std::int64_t dense);

}  // namespace swallowtail
