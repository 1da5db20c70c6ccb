#include "trainer/sap/product_layer.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>

#include "kernels/optimizer.h"
#include "kernels/random.h"
#include "parallel/deterministic_reduce.h"
#include "trainer/ranking/ranking_loss.h"

namespace swallowtail {

ProductLayer::ProductLayer(const std::vector<std::string>& components, std::int64_t strata, const Interactions& data,
                           const ProductOptions& options, std::uint64_t seed)
    : gates(std::ssize(components), strata),
      components_(std::ssize(components)),
      options_(options),
      seed_(seed),
      train_(data.train) {
  for (const std::string& name : components) keys_.push_back(random::purpose(name));
  const auto counts = item_counts(data.train, data.items.size());
  double mean = 0, squares = 0;
  const auto items = static_cast<double>(counts.size());
  for (const std::int64_t count : counts) mean += std::log1p(static_cast<double>(count)) / items;
  for (const std::int64_t count : counts) squares += std::pow(std::log1p(static_cast<double>(count)) - mean, 2) / items;
  const double deviation = squares > 0 ? std::sqrt(squares) : 1;
  for (const std::int64_t count : counts)
    popularity_.push_back(static_cast<float>((std::log1p(static_cast<double>(count)) - mean) / deviation));
  for (std::int64_t user = 0; user < train_.users(); ++user)
    activity_mean_ += std::log1p(static_cast<double>(train_.count(user))) / static_cast<double>(train_.users());

  std::vector<std::int64_t> widths{features()};
  widths.insert(widths.end(), options.hidden.begin(), options.hidden.end());
  widths.push_back(1);
  for (std::size_t l = 0; l + 1 < widths.size(); ++l) {
    Layer layer{widths[l], widths[l + 1], mlp_.size(), 0};
    mlp_.resize(mlp_.size() + static_cast<std::size_t>(layer.in * layer.out), 0.0F);
    layer.bias = mlp_.size();
    mlp_.resize(mlp_.size() + static_cast<std::size_t>(layer.out), 0.0F);
    layers_.push_back(layer);
  }
}

std::int64_t ProductLayer::features() const noexcept {
  return components_ + components_ * (components_ + 1) / 2 + gates.rows() + 2;
}

/// The last layer starts at zero. A feature starts where its name says, as strong as the number of components in use
/// says, so that a component that is not used leaves no trace.
void ProductLayer::draw_start() {
  std::vector<std::uint64_t> names = keys_;
  for (std::size_t c = 0; c < keys_.size(); ++c)
    for (std::size_t d = c; d < keys_.size(); ++d) names.push_back(random::mix(keys_[c] + keys_[d]));
  for (std::int64_t s = 0; s < gates.rows(); ++s)  // cold and new users counted from the end, whatever strata there are
    names.push_back(random::purpose("stratum") +
                    static_cast<std::uint64_t>(s < gates.rows() - 2 ? s : s - gates.rows()));
  names.push_back(random::purpose("popularity"));
  names.push_back(random::purpose("activity"));
  const int used = std::popcount(gates.mask_of_strata());
  std::ranges::fill(mlp_, 0.0F);
  for (std::size_t l = 0; l + 1 < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    const double inputs = l > 0 ? static_cast<double>(layer.in) : used + used * (used + 1) / 2.0 + 3;  // 3: a stratum …
    for (std::int64_t i = 0; i < layer.in; ++i)
      for (std::int64_t o = 0; o < layer.out; ++o)
        mlp_[layer.weights + static_cast<std::size_t>(i * layer.out + o)] = static_cast<float>(
            std::sqrt(2 / inputs) * random::normal(random::bits(seed_, random::purpose("product layer") + l,
                                                                l > 0 ? static_cast<std::uint64_t>(i) : names[i],
                                                                static_cast<std::uint64_t>(o))));
  }
}

void ProductLayer::features_of(const PooledRow& row, std::size_t place, float* out) const {
  const auto size = static_cast<std::size_t>(row.pool.size());
  const auto count = static_cast<std::size_t>(components_);
  float* const z = out;
  const float* const used = gates.used.data() + gates.row_of(row.stratum) * count;
  for (std::size_t c = 0; c < count; ++c) *out++ = used[c] * std::clamp(row.pool.scores[c * size + place], -5.0F, 5.0F);
  for (std::size_t c = 0; c < count; ++c)
    for (std::size_t d = c; d < count; ++d) *out++ = z[c] * z[d] / 5;
  std::fill_n(out, gates.rows(), 0.0F);
  if (gates.shares[gates.row_of(row.stratum)] > 0) out[gates.row_of(row.stratum)] = 1;
  out += gates.rows();
  *out++ = popularity_[row.pool.items[place]];
  *out = row.user == kColdId
             ? 0.0F
             : static_cast<float>(std::log1p(static_cast<double>(train_.count(row.user))) - activity_mean_);
}

float ProductLayer::forward(Pass& pass, std::span<const float> x) const {
  pass.values.resize(layers_.size() + 1);
  pass.values[0].assign(x.begin(), x.end());
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    auto& out = pass.values[l + 1];
    out.assign(mlp_.begin() + static_cast<std::ptrdiff_t>(layer.bias),
               mlp_.begin() + static_cast<std::ptrdiff_t>(layer.bias) + layer.out);
    for (std::int64_t i = 0; i < layer.in; ++i) {
      const float in = pass.values[l][i];
      if (in == 0) continue;
      const float* const weights = mlp_.data() + layer.weights + i * layer.out;
      for (std::int64_t o = 0; o < layer.out; ++o) out[o] += in * weights[o];
    }
    if (l + 1 < layers_.size())
      for (float& value : out) value = std::max(value, 0.0F);
  }
  return pass.values.back()[0];
}

void ProductLayer::score(const PooledRow& row, std::span<float> out) const {
  const std::size_t size = out.size();
  const std::vector<double> gate = gates.of(row.stratum);
  const auto factor = static_cast<float>(std::exp(scale_[0]));
  // Nothing was learnt of new users: their gate alone.
  const bool is_plain =
      row.stratum == kNewStratum ||
      std::ranges::all_of(std::span(mlp_).subspan(layers_.back().weights), [](float weight) { return weight == 0; });
  std::ranges::fill(out, 0.0F);
  for (std::size_t c = 0; c < gate.size(); ++c) {
    const auto weight = static_cast<float>(gate[c]);
    for (std::size_t place = 0; place < size; ++place) out[place] += weight * row.pool.scores[c * size + place];
  }
  for (float& score : out) score *= factor;
  if (is_plain) return;
  Pass pass;
  std::vector<float> x(static_cast<std::size_t>(features()));
  for (std::size_t place = 0; place < size; ++place) {
    features_of(row, place, x.data());
    out[place] += forward(pass, x);
  }
}

std::vector<double> ProductLayer::parts(const PooledRow& row, std::size_t place) const {
  std::vector<double> parts = gates.of(row.stratum);
  const auto size = static_cast<std::size_t>(row.pool.size());
  for (std::size_t c = 0; c < parts.size(); ++c) parts[c] *= std::exp(scale_[0]) * row.pool.scores[c * size + place];
  return parts;
}

std::vector<RankerState> ProductLayer::state() {
  const auto components = components_;
  return {ranker_state("sap/gates/common", {components}, gates.common),
          ranker_state("sap/gates/own", {gates.rows(), components}, gates.own),
          ranker_state("sap/gates/shares", {gates.rows()}, gates.shares),
          ranker_state("sap/gates/used", {gates.rows(), components}, gates.used),
          ranker_state("sap/product/scale", {1}, scale_),
          ranker_state("sap/product/mlp", {static_cast<std::int64_t>(mlp_.size())}, mlp_)};
}

std::int64_t ProductLayer::parameters() const noexcept {
  return static_cast<std::int64_t>(gates.common.size() + gates.own.size() + mlp_.size()) + 1;
}

}  // namespace swallowtail
