#include "trainer/planning/dense_work.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/interaction.h"
#include "trainer/config/cross_network.h"

namespace swallowtail {

namespace {

// Beside the products of the layers: the lookup and its sorted backward (about 20 with all radix passes), packing of
// exchanges, interaction, loss, casts, optimizers. Counted in the reference implementations' traces.
constexpr int kOtherKernels = 40;
constexpr double kTile = 128;       // rows and columns of an output tile
constexpr double kShortestK = 128;  // of a split product

void add_mlp(DenseWork& work, std::int64_t in, std::span<const std::int64_t> widths, bool is_bottom) {
  for (const std::int64_t out : widths) {
    work.layers.push_back({in, out, is_bottom, !(is_bottom && work.layers.empty())});
    work.parameters += (in + 1) * out;
    work.activations += out;
    in = out;
  }
}

}  // namespace

double DenseWork::flop() const {
  double flop = 3 * interaction_flop;
  for (const DenseLayer& layer : layers)
    flop += 2.0 * static_cast<double>(layer.in * layer.out) * (layer.needs_input_gradient ? 3 : 2);
  return flop;
}

DenseWork dense_work(const Experiment& experiment, const DataShape& shape, std::span<const EmbeddingTable> tables) {
  DenseWork work;
  const std::int64_t dim = experiment.integer("model.embedding_dim");
  work.dense_features = std::ssize(shape.dense);
  for (const EmbeddingTable& table : tables) work.pooled += table.dim;
  std::int64_t features = 0, concatenated = 0;
  if (work.dense_features > 0) {
    auto widths = experiment.integers("model.bottom_mlp");
    widths.push_back(dim);
    add_mlp(work, work.dense_features, widths, true);
    ++features;
    concatenated += dim;
  }
  for (const EmbeddingTable& table : tables) {
    if (table.name.ends_with(".linear")) continue;  // added to the logit
    ++features;
    concatenated += dim;
    if (table.dim == dim) continue;
    work.layers.push_back({table.dim, dim});  // its projection
    work.parameters += table.dim * dim;
    work.activations += dim;
  }
  std::int64_t crossed = concatenated;
  work.activations += concatenated;
  if (const auto cross = cross_network(experiment, concatenated)) {
    for (std::int64_t layer = 0; layer < cross->layers; ++layer) {
      work.layers.push_back({concatenated, cross->rank});
      work.layers.push_back({cross->rank, concatenated});
      work.parameters += 2 * concatenated * cross->rank + concatenated;
      work.activations += cross->rank + 2 * concatenated;  // the product, and x0 * (it + bias) + x
    }
  } else if (experiment.text("model.interaction") == "dot") {
    const InteractionShape pairs{0, dim, experiment.boolean("model.interaction_itself"), work.dense_features > 0};
    crossed = interaction_width(features, pairs);
    work.interaction_flop = 2.0 * static_cast<double>(features * features * dim);
    work.activations += crossed;
  }
  auto widths = experiment.integers("model.top_mlp");
  widths.push_back(std::max<std::int64_t>(1, std::ssize(shape.labels)));
  add_mlp(work, crossed, widths, false);
  if (experiment.boolean("model.linear")) work.parameters += work.dense_features;
  work.kernels = kOtherKernels;
  for (const DenseLayer& layer : work.layers) work.kernels += layer.needs_input_gradient ? 3 : 2;
  return work;
}

double matrix_seconds(double m, double n, double k, double flops, int multiprocessors) {
  if (multiprocessors <= 0) return 2 * m * n * k / flops;
  const double tiles = std::ceil(m / kTile) * std::ceil(n / kTile);
  const double tile_flops = flops / multiprocessors;
  double best = std::numeric_limits<double>::infinity();
  for (int splits = 1; splits <= 64 && (splits == 1 || k / splits >= kShortestK); splits *= 2) {
    const double waves = std::ceil(tiles * splits / multiprocessors);
    best = std::min(best, waves * 2 * kTile * kTile * (k / splits) / tile_flops);
  }
  return best;
}

}  // namespace swallowtail
