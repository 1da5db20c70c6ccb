#include "trainer/training/mlp_bench.h"

#include <omp.h>

#include <algorithm>
#include <vector>

#include "trainer/models/plain_mlp.h"
#include "trainer/training/gemm_limit.h"

namespace swallowtail {

namespace {

constexpr std::int64_t kBlockRows = 128, kRowStep = 8;  // as in DlrmPass

std::vector<GemmLayer> layers_of(std::int64_t inputs, std::span<const std::int64_t> widths) {
  std::vector<GemmLayer> layers;
  for (const std::int64_t width : widths) {
    layers.push_back({inputs, width, true});
    inputs = width;
  }
  return layers;
}

}  // namespace

struct MlpBench::Parts {
  Parts(std::int64_t of, std::int64_t inputs, std::span<const std::int64_t> widths)
      : samples(of),
        mlp(inputs, widths, false, 0.0, 0),
        plain(*mlp),
        limit(of, layers_of(inputs, widths)),
        x(static_cast<std::size_t>(of * padded(inputs)), 0.01F),
        x_gradient(x.size()),
        output_gradient(static_cast<std::size_t>(of * padded(widths.back()))) {
    initialise_linear_layers(*mlp, 1);
  }
  std::int64_t samples;
  Mlp mlp;
  PlainMlp plain;
  GemmLimit limit;
  std::vector<float> x, x_gradient, output_gradient;
};

MlpBench::MlpBench(std::int64_t samples, std::int64_t inputs, std::span<const std::int64_t> widths)
    : parts_(std::make_unique<Parts>(samples, inputs, widths)) {}

MlpBench::~MlpBench() = default;

void MlpBench::pass() {
  Parts& of = *parts_;
  std::ranges::fill(of.output_gradient, 1e-3F);  // backward writes over it
  const int threads = omp_get_max_threads();
  of.plain.begin(of.samples, threads, true);
#pragma omp parallel num_threads(threads)
  {
    const int thread = omp_get_thread_num();
    const Part rows = part_of(0, of.samples, kRowStep, thread, threads);
    for (std::int64_t begin = rows.begin; begin < rows.end; begin += kBlockRows) {
      const RowRange block{begin, std::min(begin + kBlockRows, rows.end), thread};
      of.plain.forward(block, of.x.data(), {});
      of.plain.backward(block, of.output_gradient.data(), of.x_gradient.data());
    }
#pragma omp barrier
    of.plain.weight_gradients({0, of.samples, thread}, threads, of.x.data(), of.output_gradient.data());
  }
  of.plain.finish();
}

void MlpBench::products() { parts_->limit.seconds(); }

double MlpBench::flops() const { return parts_->limit.flops(); }

}  // namespace swallowtail
