// The dense part of any model through Model::forward and autograd.
#pragma once

#include <map>
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

}  // namespace swallowtail
