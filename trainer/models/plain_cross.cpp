#include "trainer/models/plain_cross.h"

#include <algorithm>

#include "kernels/cross.h"

namespace swallowtail {

namespace {

constexpr std::int64_t kColumns = 16;  // that threads deal out together

}  // namespace

std::int64_t PlainCross::floats_a_row() const {
  std::int64_t floats = 0;
  for (const CrossLayer& layer : net_->layers())
    floats += 2 * padded(layer->v->weight.size(0)) + 2 * padded(layer->v->weight.size(1));
  return floats;
}

void PlainCross::begin(std::int64_t rows, int threads, bool fresh) {
  const auto& modules = net_->layers();
  rank_ = modules.front()->v->weight.size(0);
  stride_ = padded(width());
  inner_stride_ = padded(rank_);
  adds_ = !fresh;
  has_part_.assign(static_cast<std::size_t>(threads), 0);
  layers_.resize(modules.size());
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    Layer& layer = layers_[i];
    layer.v = modules[i]->v->weight.data_ptr<float>();
    layer.u = modules[i]->u->weight.data_ptr<float>();
    layer.bias.resize(static_cast<std::size_t>(stride_));
    std::copy_n(modules[i]->bias.data_ptr<float>(), width(), layer.bias.begin());
    layer.v_gradient = gradient_of(modules[i]->v->weight);
    layer.u_gradient = gradient_of(modules[i]->u->weight);
    layer.bias_gradient = gradient_of(modules[i]->bias);
    for (HugeVector<float>* of : {&layer.output, &layer.product_gradient}) grow(*of, rows * stride_);
    for (HugeVector<float>* of : {&layer.inner, &layer.inner_gradient}) grow(*of, rows * inner_stride_);
    layer.bias_sums.assign(static_cast<std::size_t>(threads), std::vector<float>(static_cast<std::size_t>(stride_)));
  }
  scratch_.resize(static_cast<std::size_t>(threads));
  for (Scratch& scratch : scratch_) {
    scratch.products.resize(layers_.size());
    scratch.bias_gradient.resize(static_cast<std::size_t>(stride_));
  }
}

void PlainCross::forward(const RowRange& rows, const float* x0) {
  const std::int64_t count = rows.end - rows.begin, columns = width();
  Scratch& scratch = scratch_[static_cast<std::size_t>(rows.thread)];
  x0 += rows.begin * stride_;
  const float* x = x0;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    Layer& layer = layers_[i];
    float* const inner = layer.inner.data() + rows.begin * inner_stride_;
    float* const y = layer.output.data() + rows.begin * stride_;
    HugeVector<float>& product = scratch.products[i];
    grow(product, count * stride_);
    gemm(false, true, count, rank_, columns, x, stride_, layer.v, columns, false, inner, inner_stride_);
    gemm(false, true, count, columns, rank_, inner, inner_stride_, layer.u, rank_, false, product.data(), stride_);
    cross_forward({count, stride_}, x0, x, product.data(), layer.bias.data(), y);
    x = y;
  }
}

void PlainCross::backward(const RowRange& rows, const float* x0, float* gradient) {
  const std::int64_t count = rows.end - rows.begin, columns = width();
  const auto thread = static_cast<std::size_t>(rows.thread);
  Scratch& scratch = scratch_[thread];
  has_part_[thread] = 1;
  scratch.x0_gradient.assign(static_cast<std::size_t>(count * stride_), 0.0F);
  x0 += rows.begin * stride_;
  gradient += rows.begin * stride_;
  for (std::size_t i = layers_.size(); i-- > 0;) {
    Layer& layer = layers_[i];
    float* const product_gradient = layer.product_gradient.data() + rows.begin * stride_;
    float* const inner_gradient = layer.inner_gradient.data() + rows.begin * inner_stride_;
    cross_backward({count, stride_}, x0, scratch.products[i].data(), layer.bias.data(), gradient,
                   {product_gradient, scratch.x0_gradient.data(), scratch.bias_gradient.data()});
    add(layer.bias_sums[thread].data(), scratch.bias_gradient.data(), columns);
    gemm(false, false, count, rank_, columns, product_gradient, stride_, layer.u, rank_, false, inner_gradient,
         inner_stride_);
    gemm(false, false, count, columns, rank_, inner_gradient, inner_stride_, layer.v, columns, true, gradient, stride_);
  }
  add(gradient, scratch.x0_gradient.data(), count * stride_);
}

void PlainCross::weight_gradients(const RowRange& rows, int of, const float* x0) {
  const std::int64_t count = rows.end - rows.begin, columns = width();
  const Part part = part_of(0, columns, kColumns, rows.thread, of);
  const std::int64_t first = part.begin, own = part.end - first;
  if (own == 0) return;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    Layer& layer = layers_[i];
    const float* const x = (i == 0 ? x0 : layers_[i - 1].output.data()) + rows.begin * stride_ + first;
    const float* const product_gradient = layer.product_gradient.data() + rows.begin * stride_ + first;
    const std::int64_t inner = rows.begin * inner_stride_;
    gemm(true, false, own, rank_, count, product_gradient, stride_, layer.inner.data() + inner, inner_stride_, adds_,
         layer.u_gradient + first * rank_, rank_);
    gemm(true, false, rank_, own, count, layer.inner_gradient.data() + inner, inner_stride_, x, stride_, adds_,
         layer.v_gradient + first, columns);
    collect_bias(part, has_part_, layer.bias_sums, adds_, layer.bias_gradient);
  }
}

void PlainCross::finish() {
  std::ranges::fill(has_part_, 0);
  adds_ = true;
}

}  // namespace swallowtail
