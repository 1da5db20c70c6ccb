// A ranking model that torch differentiates: it turns samples into a loss and users into scores. It knows no ranks: the
// ranker of trainer/training/torch_ranker.h cuts batches into chunks, adds gradients in a fixed order and updates.
// Its parameters are copied on every rank (data-parallel): what they are all needed for at once, such as the vectors of
// every class of a full softmax, gains nothing by being divided.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "trainer/ranking/ranker.h"

namespace swallowtail {

/// Some samples of a step: neighbours in the global batch.
struct NetworkBatch {
  std::span<const std::int64_t> samples;  // numbers in [0, epoch_samples())
  std::int64_t first = 0;                 // place of the first one within the global batch
  std::int64_t step = 0, epoch = 0;
  double progress = 0;  // share of train.epochs that is done
  std::uint64_t seed = 0;
};

class RankingNetwork : public torch::nn::Module {
 public:
  virtual std::int64_t epoch_samples() const = 0;
  /// What the mean loss divides by: the targets of a sample.
  virtual double targets(std::int64_t sample, std::int64_t epoch) const = 0;
  /// Sum over the targets of the samples, fp32, on the tape. Depends on the chunk alone, not on its neighbours.
  virtual torch::Tensor loss_sum(const NetworkBatch& batch) = 0;
  /// [queries, items]; each row depends on its query alone, its last bits perhaps on its place. Without the tape.
  /// The first call after eval() is made alone, others by several threads at once, as those of loss_sum() are.
  virtual torch::Tensor scores(std::span<const RankingQuery> queries) = 0;
  virtual bool knows(const RankingQuery& query) const = 0;
};

/// Normal first weights from counters keyed by (seed, name).
void init_normal(const torch::Tensor& tensor, double deviation, std::uint64_t seed, std::string_view name);
/// Uniform in [-width, width), likewise.
void init_uniform(const torch::Tensor& tensor, double width, std::uint64_t seed, std::string_view name);
/// Every parameter of the module with two dimensions or more: Xavier normal; the others keep what they have.
void init_xavier(torch::nn::Module& module, std::uint64_t seed);

/// x with elements dropped by counters keyed by (seed, step, place of the sample, layer, element); x [B, …].
torch::Tensor dropped(const torch::Tensor& x, double probability, const NetworkBatch& batch, std::uint64_t layer);
/// The mask of it for an x whose elements belong to `samples` samples, equal shares in their order: 0 where dropped.
torch::Tensor dropout_of(const torch::Tensor& x, std::int64_t samples, double probability, const NetworkBatch& batch,
                         std::uint64_t layer);

std::shared_ptr<RankingNetwork> make_sasrec(const RankerInput& input);
std::shared_ptr<RankingNetwork> make_gru4rec(const RankerInput& input);
std::shared_ptr<RankingNetwork> make_mult_vae(const RankerInput& input);
std::shared_ptr<RankingNetwork> make_mult_dae(const RankerInput& input);
std::shared_ptr<RankingNetwork> make_gmf(const RankerInput& input);
std::shared_ptr<RankingNetwork> make_mlp_ranker(const RankerInput& input);
std::shared_ptr<RankingNetwork> make_neumf(const RankerInput& input);
std::shared_ptr<RankingNetwork> make_einmf(const RankerInput& input);
std::shared_ptr<RankingNetwork> make_youtube(const RankerInput& input);

}  // namespace swallowtail
