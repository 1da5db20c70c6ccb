#include "trainer/rankers/network.h"

#include <cmath>
#include <string>

#include "kernels/dropout.h"
#include "kernels/random.h"

namespace swallowtail {
namespace {

std::uint64_t key_of(std::string_view name) { return random::purpose("dense") ^ random::purpose(name); }

}  // namespace

void init_normal(const torch::Tensor& tensor, double deviation, std::uint64_t seed, std::string_view name) {
  auto* const values = tensor.data_ptr<float>();
  for (std::int64_t i = 0; i < tensor.numel(); ++i)
    values[i] =
        static_cast<float>(deviation * random::normal(random::bits(seed, key_of(name), static_cast<std::uint64_t>(i))));
}

void init_uniform(const torch::Tensor& tensor, double width, std::uint64_t seed, std::string_view name) {
  auto* const values = tensor.data_ptr<float>();
  for (std::int64_t i = 0; i < tensor.numel(); ++i)
    values[i] = static_cast<float>(
        width * (2 * random::uniform(random::bits(seed, key_of(name), static_cast<std::uint64_t>(i))) - 1));
}

void init_xavier(torch::nn::Module& module, std::uint64_t seed) {
  const torch::NoGradGuard no_grad;
  for (const auto& item : module.named_parameters()) {
    const torch::Tensor& weights = item.value();
    if (weights.dim() < 2) continue;
    const auto out = static_cast<double>(weights.size(0)), in = static_cast<double>(weights.numel()) / out;
    init_normal(weights, std::sqrt(2 / (in + out)), seed, item.key());
  }
}

torch::Tensor dropped(const torch::Tensor& x, double probability, const NetworkBatch& batch, std::uint64_t layer) {
  return probability <= 0 ? x : x * dropout_of(x, x.size(0), probability, batch, layer);
}

torch::Tensor dropout_of(const torch::Tensor& x, std::int64_t samples, double probability, const NetworkBatch& batch,
                         std::uint64_t layer) {
  torch::Tensor mask = torch::empty(x.sizes(), torch::kFloat32);
  dropout_mask({batch.seed, batch.step, layer}, probability, batch.first, samples, x.numel() / samples,
               mask.data_ptr<float>());
  return mask;
}

}  // namespace swallowtail
