#include "trainer/training/gemm_limit.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>

#include "kernels/stopwatch.h"
#include "trainer/models/plain_mlp.h"

namespace swallowtail {

namespace {

constexpr std::int64_t kStep = 16;  // rows or outputs that are dealt out together
constexpr int kTries = 5;           // of each way; the least time counts

/// The least of some tries, after one that does not count.
template <typename Work>
double best_of(Work work) {
  work();
  double best = seconds_of(work);
  for (int i = 1; i < kTries; ++i) best = std::min(best, seconds_of(work));
  return best;
}

}  // namespace

GemmLimit::GemmLimit(std::int64_t samples, const std::vector<GemmLayer>& layers) : samples_(samples) {
  const auto matrix = [&](std::int64_t columns) {
    matrices_.emplace_back(static_cast<std::size_t>(samples * padded(columns)), 0.01F);
    return matrices_.size() - 1;
  };
  for (const GemmLayer& of : layers) {
    const bool follows = !layers_.empty() && layers_.back().of.out == of.in;
    const std::size_t x = follows ? layers_.back().y : matrix(of.in);
    const auto weights = static_cast<std::size_t>(of.out * padded(of.in));
    // The gradient that a layer passes on is written beside the output that the layer before it made.
    layers_.push_back(
        {of, x, matrix(of.in), matrix(of.out), std::vector<float>(weights, 0.01F), std::vector<float>(weights)});
    flops_ += 2.0 * static_cast<double>(samples * of.in * of.out) * (of.passes_on ? 3 : 2);
  }
  for (Layer& layer : layers_) {
    const auto choose = [&](Product which, std::initializer_list<Threads> ways, Threads& chosen) {
      double best = 1e9;
      for (const Threads way : ways) {
        const double seconds = best_of([&] { product(layer, which, way); });
        if (seconds < best) best = seconds, chosen = way;
      }
    };
    choose(Product::forward, {Threads::library, Threads::dealt}, layer.forward);
    choose(Product::backward, {Threads::library, Threads::dealt}, layer.backward);
    choose(Product::weights, {Threads::library, Threads::dealt, Threads::dealt_transposed}, layer.weights);
  }
  double best = 1e9;
  for (const std::int64_t rows : {0, 32, 64, 128, 256, 512}) {
    const double seconds = best_of([&] { passes(rows); });
    if (seconds < best) best = seconds, block_rows_ = rows;
  }
}

void GemmLimit::product(Layer& layer, Product which, Range range, bool transposed) {
  const std::int64_t in = padded(layer.of.in), out = padded(layer.of.out), count = range.end - range.begin;
  if (count <= 0 || (which == Product::backward && !layer.of.passes_on)) return;
  const float *x = matrices_[layer.x].data(), *y_gradient = matrices_[layer.y].data();
  switch (which) {
    case Product::forward:
      return gemm(false, true, count, layer.of.out, layer.of.in, x + range.begin * in, in, layer.weight.data(), in,
                  false, matrices_[layer.y].data() + range.begin * out, out);
    case Product::backward:
      return gemm(false, false, count, layer.of.in, layer.of.out, y_gradient + range.begin * out, out,
                  layer.weight.data(), in, false, matrices_[layer.x_gradient].data() + range.begin * in, in);
    case Product::weights:
      if (transposed)
        return gemm(true, false, layer.of.in, count, samples_, x, in, y_gradient + range.begin, out, false,
                    layer.weight_gradient.data() + range.begin, layer.of.out);
      return gemm(true, false, count, layer.of.in, samples_, y_gradient + range.begin, out, x, in, false,
                  layer.weight_gradient.data() + range.begin * in, in);
  }
}

void GemmLimit::product(Layer& layer, Product which, Threads threads) {
  const std::int64_t count = which == Product::weights ? layer.of.out : samples_;
  if (threads == Threads::library) return product(layer, which, Range{0, count}, false);
#pragma omp parallel
  {
    const Part part = part_of(0, count, kStep, omp_get_thread_num(), omp_get_num_threads());
    product(layer, which, Range{part.begin, part.end}, threads == Threads::dealt_transposed);
  }
}

void GemmLimit::passes(std::int64_t block_rows) {
  if (block_rows == 0) {
    for (Layer& layer : layers_) product(layer, Product::forward, layer.forward);
    for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer)
      product(*layer, Product::backward, layer->backward);
    return;
  }
#pragma omp parallel
  {
    const Part part = part_of(0, samples_, kStep, omp_get_thread_num(), omp_get_num_threads());
    for (std::int64_t begin = part.begin; begin < part.end; begin += block_rows) {
      const Range rows{begin, std::min(begin + block_rows, part.end)};
      for (Layer& layer : layers_) product(layer, Product::forward, rows, false);
      for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer)
        product(*layer, Product::backward, rows, false);
    }
  }
}

void GemmLimit::weight_gradients() {
  for (Layer& layer : layers_) product(layer, Product::weights, layer.weights);
}

double GemmLimit::seconds() {
  return seconds_of([&] {
    passes(block_rows_);
    weight_gradients();
  });
}

std::string GemmLimit::chosen() const {
  return block_rows_ == 0 ? "layer by layer" : fmt::format("blocks of {} rows through all layers", block_rows_);
}

}  // namespace swallowtail
