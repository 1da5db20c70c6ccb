#include "trainer/models/plain_mlp.h"

#include <algorithm>
#include <cstring>

#include "kernels/dropout.h"

// The BLAS that is part of LibTorch (MKL); column-major.
extern "C" void sgemm_(const char* transpose_a, const char* transpose_b, const int* m, const int* n, const int* k,
                       const float* alpha, const float* a, const int* lda, const float* b, const int* ldb,
                       const float* beta, float* c, const int* ldc);

// Compiled for each instruction set, chosen when the program is loaded; elementwise, so all give the same bits.
#define SWALLOWTAIL_EACH_ISA __attribute__((target_clones("avx512f", "avx2", "default")))

namespace swallowtail {

namespace {

constexpr std::int64_t kNarrow = 64;     // inputs up to here: BLAS is faster at the transposed weight gradient
constexpr std::int64_t kWideRows = 512;  // from here on padded rows gain more than copying them costs
constexpr std::int64_t kOutputs = 16;    // or inputs, that threads deal out together
constexpr std::int64_t kManyInputs = 8;  // an output: then each thread packs its own inputs, in place of all of them

SWALLOWTAIL_EACH_ISA void add_bias(float* y, const float* bias, std::int64_t columns) {
  for (std::int64_t j = 0; j < columns; ++j) y[j] += bias[j];
}

SWALLOWTAIL_EACH_ISA void add_bias_relu(float* y, const float* bias, std::int64_t columns) {
  for (std::int64_t j = 0; j < columns; ++j) {
    const float sum = y[j] + bias[j];
    y[j] = sum > 0 ? sum : (sum == sum ? 0.0F : sum);  // NaN stays
  }
}

SWALLOWTAIL_EACH_ISA void multiply(float* y, const float* by, std::int64_t columns) {
  for (std::int64_t j = 0; j < columns; ++j) y[j] *= by[j];
}

/// ReLU's backward, and the bias gradient beside it.
SWALLOWTAIL_EACH_ISA void relu_backward(float* gradient, const float* y, float* bias_gradient, std::int64_t columns) {
  for (std::int64_t j = 0; j < columns; ++j) {
    gradient[j] = y[j] > 0 ? gradient[j] : 0.0F;
    bias_gradient[j] += gradient[j];
  }
}

}  // namespace

void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, const float* a,
          std::int64_t lda, const float* b, std::int64_t ldb, bool add, float* c, std::int64_t ldc) {
  if (m == 0 || n == 0) return;
  // Row-major C = A B is column-major C' = B' A'.
  const int rows = static_cast<int>(n), columns = static_cast<int>(m), inner = static_cast<int>(k);
  const int ld_b = static_cast<int>(ldb), ld_a = static_cast<int>(lda), ld_c = static_cast<int>(ldc);
  const float one = 1, beta = add ? 1 : 0;
  sgemm_(transpose_b ? "T" : "N", transpose_a ? "T" : "N", &rows, &columns, &inner, &one, b, &ld_b, a, &ld_a, &beta, c,
         &ld_c);
}

Part part_of(std::int64_t begin, std::int64_t end, std::int64_t step, std::int64_t thread, std::int64_t of) noexcept {
  const std::int64_t steps = (end - begin + step - 1) / step;
  return {std::min(end, begin + steps * thread / of * step), std::min(end, begin + steps * (thread + 1) / of * step)};
}

void grow(HugeVector<float>& buffer, std::int64_t size) {
  if (std::ssize(buffer) < size) buffer.assign(static_cast<std::size_t>(size), 0.0F);
}

float* gradient_of(const torch::Tensor& parameter) {
  if (!parameter.grad().defined()) parameter.mutable_grad() = torch::zeros_like(parameter);
  return parameter.grad().data_ptr<float>();
}

SWALLOWTAIL_EACH_ISA void add(float* to, const float* from, std::int64_t count) {
  for (std::int64_t j = 0; j < count; ++j) to[j] += from[j];
}

void collect_bias(const Part& part, std::span<const char> has_sums, std::span<std::vector<float>> sums, bool adds,
                  float* gradient) {
  const std::int64_t count = part.end - part.begin;
  if (!adds) std::fill_n(gradient + part.begin, count, 0.0F);
  for (std::size_t thread = 0; thread < has_sums.size(); ++thread) {
    if (!has_sums[thread]) continue;
    float* const own = sums[thread].data() + part.begin;
    add(gradient + part.begin, own, count);
    std::fill_n(own, count, 0.0F);
  }
}

std::int64_t PlainMlp::inputs() const { return mlp_->layers().front()->weight.size(1); }
std::int64_t PlainMlp::outputs() const { return mlp_->layers().back()->weight.size(0); }

std::int64_t PlainMlp::floats_a_row() const {
  std::int64_t floats = 0;
  for (const auto& layer : mlp_->layers()) {
    const std::int64_t out = layer->weight.size(0);
    floats += 2 * padded(out) + (mlp_->dropout() > 0 ? out : 0);
  }
  return floats;
}

void PlainMlp::begin(std::int64_t rows, int threads, bool fresh) {
  const auto& modules = mlp_->layers();
  layers_.resize(modules.size());
  has_part_.assign(static_cast<std::size_t>(threads), 0);
  adds_ = !fresh;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    Layer& layer = layers_[i];
    layer.weight = modules[i]->weight.data_ptr<float>();
    layer.bias = modules[i]->bias.data_ptr<float>();
    layer.weight_gradient = gradient_of(modules[i]->weight);
    layer.bias_gradient = gradient_of(modules[i]->bias);
    layer.in = modules[i]->weight.size(1);
    layer.out = modules[i]->weight.size(0);
    layer.relu = i + 1 < layers_.size() || mlp_->relu_last();
    layer.transposed = layer.in < kNarrow;
    const std::int64_t in = padded(layer.in);
    layer.wide = !layer.transposed && in != layer.in && rows >= kWideRows;
    if (layer.wide) {
      layer.wide_weight.resize(static_cast<std::size_t>(layer.out * in));  // what is behind the inputs stays zero
      for (std::int64_t o = 0; o < layer.out; ++o)
        std::copy_n(layer.weight + o * layer.in, layer.in, layer.wide_weight.data() + o * in);
    }
    grow(layer.output, rows * padded(layer.out));
    grow(layer.gradient, rows * padded(layer.out));
    layer.mask.resize(layer.relu && mlp_->dropout() > 0 ? static_cast<std::size_t>(rows * layer.out) : 0);
    layer.scratch.resize(layer.transposed || layer.wide ? static_cast<std::size_t>(layer.out * in) : 0);
    layer.biases.resize(static_cast<std::size_t>(threads));
    for (auto& biases : layer.biases) biases.assign(static_cast<std::size_t>(layer.out), 0.0F);
  }
}

void PlainMlp::forward(const RowRange& rows, const float* x, const DenseInput& input) {
  const std::int64_t count = rows.end - rows.begin;
  std::int64_t stride = padded(inputs());
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    Layer& layer = layers_[i];
    const std::int64_t out = padded(layer.out);
    float* y = layer.output.data() + rows.begin * out;
    gemm(false, true, count, layer.out, layer.in, x + rows.begin * stride, stride, layer.weight, layer.in, false, y,
         out);
    for (std::int64_t row = 0; row < count; ++row)
      (layer.relu ? add_bias_relu : add_bias)(y + row * out, layer.bias, layer.out);
    if (!layer.mask.empty()) {
      float* mask = layer.mask.data() + rows.begin * layer.out;
      dropout_mask({input.seed, input.step, mlp_->layer_key() + i}, mlp_->dropout(), input.first_sample + rows.begin,
                   count, layer.out, mask);
      for (std::int64_t row = 0; row < count; ++row) multiply(y + row * out, mask + row * layer.out, layer.out);
    }
    x = layer.output.data();
    stride = out;
  }
}

void PlainMlp::backward(const RowRange& rows, float* output_gradient, float* x_gradient) {
  const std::int64_t count = rows.end - rows.begin;
  const auto thread = static_cast<std::size_t>(rows.thread);
  has_part_[thread] = 1;
  for (std::size_t i = layers_.size(); i-- > 0;) {
    Layer& layer = layers_[i];
    const std::int64_t in = padded(layer.in), out = padded(layer.out);
    float* gradient = (i + 1 == layers_.size() ? output_gradient : layer.gradient.data()) + rows.begin * out;
    const float* y = layer.output.data() + rows.begin * out;
    float* bias = layer.biases[thread].data();
    for (std::int64_t row = 0; row < count; ++row) {
      float* of = gradient + row * out;
      if (!layer.mask.empty()) multiply(of, layer.mask.data() + (rows.begin + row) * layer.out, layer.out);
      if (layer.relu)
        relu_backward(of, y + row * out, bias, layer.out);
      else
        add(bias, of, layer.out);
    }
    float* to = i == 0 ? x_gradient : layers_[i - 1].gradient.data();
    if (to == nullptr) continue;
    if (layer.wide)
      gemm(false, false, count, in, layer.out, gradient, out, layer.wide_weight.data(), in, false, to + rows.begin * in,
           in);
    else
      gemm(false, false, count, layer.in, layer.out, gradient, out, layer.weight, layer.in, false, to + rows.begin * in,
           in);
  }
}

void PlainMlp::weight_gradients(const RowRange& rows, int of, const float* x, const float* output_gradient) {
  const std::int64_t count = rows.end - rows.begin;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    Layer& layer = layers_[i];
    const Part own = part_of(0, layer.out, kOutputs, rows.thread, of);
    const bool by_inputs = !layer.transposed && layer.in >= kManyInputs * layer.out;
    const Part outputs = by_inputs ? Part{0, layer.out} : own;
    const Part inputs = by_inputs ? part_of(0, layer.in, kOutputs, rows.thread, of) : Part{0, layer.in};
    const std::int64_t in = padded(layer.in), out = padded(layer.out);
    const std::int64_t m = outputs.end - outputs.begin, n = inputs.end - inputs.begin;
    const float* from = (i == 0 ? x : layers_[i - 1].output.data()) + rows.begin * in + inputs.begin;
    const float* gradient =
        (i + 1 == layers_.size() ? output_gradient : layer.gradient.data()) + rows.begin * out + outputs.begin;
    float* to = layer.weight_gradient + outputs.begin * layer.in + inputs.begin;
    if (layer.transposed) {
      float* turned = layer.scratch.data() + outputs.begin;
      gemm(true, false, n, m, count, from, in, gradient, out, false, turned, layer.out);
      for (std::int64_t o = 0; o < m; ++o)
        for (std::int64_t c = 0; c < n; ++c) {
          const float value = turned[c * layer.out + o];
          to[o * layer.in + c] = adds_ ? to[o * layer.in + c] + value : value;
        }
    } else if (layer.wide) {
      float* wide = layer.scratch.data() + outputs.begin * in + inputs.begin;
      gemm(true, false, m, by_inputs ? n : in, count, gradient, out, from, in, false, wide, in);
      for (std::int64_t o = 0; o < m; ++o) {
        if (adds_)
          add(to + o * layer.in, wide + o * in, n);
        else
          std::copy_n(wide + o * in, n, to + o * layer.in);
      }
    } else {
      gemm(true, false, m, n, count, gradient, out, from, in, adds_, to, layer.in);
    }
    collect_bias(own, has_part_, layer.biases, adds_, layer.bias_gradient);
  }
}

void PlainMlp::finish() {
  std::ranges::fill(has_part_, 0);
  adds_ = true;
}

}  // namespace swallowtail
