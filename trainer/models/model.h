// A model: from dense features and pooled embeddings of a batch to logits. Data-parallel: every rank holds the same
// parameters. Models know no files and no ranks; the embedding tables that they ask for live elsewhere, on any rank.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/dropout.h"
#include "trainer/config/experiment.h"
#include "trainer/data/batch.h"
#include "trainer/device/dlrm_network.h"
#include "trainer/embedding/embedding_table.h"
#include "trainer/models/dense_pass.h"

namespace swallowtail {

struct ModelInput {
  torch::Tensor dense;                // [B, dense features] fp32
  torch::Tensor bottom{};             // what bottom() made of this input, where it was called before
  std::vector<torch::Tensor> pooled;  // one a table of embedding_tables(), [B, its dim] fp32
  bool training = false;              // dropout on
  std::uint64_t seed = 0;             // with step and first_sample: the key of everything random in a forward pass
  std::int64_t step = 0;
  std::int64_t first_sample = 0;  // place of the batch's first sample within the global batch
};

class Model : public torch::nn::Module {
 public:
  /// The part of forward() that needs no pooled vectors, to be computed while they are under way; undefined where a
  /// model has none.
  virtual torch::Tensor bottom(const ModelInput& /*input*/) { return {}; }
  virtual torch::Tensor forward(const ModelInput& input) = 0;  // [B, L] logits
  /// Forward and backward by hand, for training; null where the model leaves them to autograd. Outlived by the model.
  virtual std::unique_ptr<DensePass> dense_pass() { return nullptr; }
  /// The model for a device, its places counted from `parameters`, the first of the flat array that holds all of them;
  /// nothing where the model has no part for devices.
  virtual std::optional<DlrmNetwork> network(const float* /*parameters*/) { return {}; }
};

struct ModelEntry {
  std::string_view name;
  std::string_view meaning;
  /// The tables that the model looks up, in the order in which it wants ModelInput::pooled.
  std::vector<EmbeddingTable> (*embedding_tables)(const Experiment&, const DataShape&);
  std::shared_ptr<Model> (*make)(const Experiment&, const DataShape&, std::span<const EmbeddingTable>);
};

/// The registry; a new model is one file and one line there.
std::span<const ModelEntry> models();
/// Errors: usage, at model.type.
const ModelEntry& find_model(const Experiment& experiment);

}  // namespace swallowtail
