#include "trainer/models/dlrm_pass.h"

#include <omp.h>

#include <algorithm>

#include "kernels/interaction.h"

namespace swallowtail {

namespace {

constexpr std::int64_t kRowsAThread = 32;  // fewer are not worth waking a thread

template <typename Part>
void share_rows(std::int64_t begin, std::int64_t end, int threads, const Part& part) {
  threads = static_cast<int>(std::clamp<std::int64_t>((end - begin) / kRowsAThread, 1, threads));
  if (threads == 1) return part(RowRange{begin, end, 0});
#pragma omp parallel num_threads(threads)
  {
    const std::int64_t thread = omp_get_thread_num(), of = omp_get_num_threads();
    part(RowRange{begin + (end - begin) * thread / of, begin + (end - begin) * (thread + 1) / of,
                  static_cast<int>(thread)});
  }
}

void copy_rows(const RowRange& rows, const float* from, std::int64_t from_stride, float* to, std::int64_t to_stride,
               std::int64_t columns) {
  for (std::int64_t row = rows.begin; row < rows.end; ++row)
    std::copy_n(from + row * from_stride, columns, to + row * to_stride);
}

void grow(std::vector<float>& buffer, std::int64_t size) {
  if (std::ssize(buffer) < size) buffer.assign(static_cast<std::size_t>(size), 0.0F);
}

}  // namespace

DlrmPass::DlrmPass(const DlrmParts& parts) : parts_(parts), top_(*parts.top) {
  if (parts.bottom != nullptr) bottom_.emplace(*parts.bottom);
}

void DlrmPass::begin(const DenseInput& input) {
  input_ = input;
  threads_ = input.fixed_order ? 1 : omp_get_max_threads();
  const std::int64_t samples = input.samples;
  if (bottom_) {
    bottom_->begin(samples, threads_);
    grow(dense_, samples * padded(parts_.dense));
    grow(first_, samples * parts_.dim);
    grow(first_gradient_, samples * padded(parts_.dim));
  }
  top_.begin(samples, threads_);
  grow(crossed_, samples * padded(top_.inputs()));
  grow(crossed_gradient_, samples * padded(top_.inputs()));
  grow(plain_, samples * top_.inputs());
  grow(top_gradient_, samples * padded(top_.outputs()));
}

void DlrmPass::bottom(std::int64_t begin, std::int64_t end) {
  if (!bottom_) return;
  share_rows(begin, end, threads_, [&](const RowRange& rows) {
    copy_rows(rows, input_.dense, parts_.dense, dense_.data(), padded(parts_.dense), parts_.dense);
    bottom_->forward(rows, dense_.data(), input_);
    copy_rows(rows, bottom_->output(), padded(parts_.dim), first_.data(), parts_.dim, parts_.dim);
  });
}

void DlrmPass::interact(const RowRange& rows, std::span<const float* const> pooled) {
  const std::int64_t dim = parts_.dim, inputs = top_.inputs(), stride = padded(inputs);
  std::vector<const float*> vectors;
  if (bottom_) vectors.push_back(first_.data() + rows.begin * dim);
  for (std::int64_t t = 0; t < parts_.vectors; ++t)
    vectors.push_back(pooled[static_cast<std::size_t>(t)] + rows.begin * dim);
  if (parts_.dot) {
    const InteractionShape shape{rows.end - rows.begin, dim, parts_.itself, bottom_.has_value()};
    dot_interaction_forward(shape, vectors, plain_.data() + rows.begin * inputs);
    copy_rows(rows, plain_.data(), inputs, crossed_.data(), stride, inputs);
    return;
  }
  for (std::size_t v = 0; v < vectors.size(); ++v)
    for (std::int64_t row = rows.begin; row < rows.end; ++row)
      std::copy_n(vectors[v] + (row - rows.begin) * dim, dim,
                  crossed_.data() + row * stride + static_cast<std::int64_t>(v) * dim);
}

void DlrmPass::interact_backward(const RowRange& rows, std::span<const float* const> pooled,
                                 std::span<float* const> pooled_gradients) {
  const std::int64_t dim = parts_.dim, inputs = top_.inputs(), stride = padded(inputs);
  std::vector<const float*> vectors;
  std::vector<float*> gradients;
  const std::int64_t count = rows.end - rows.begin;
  std::vector<float> first(bottom_ ? static_cast<std::size_t>(count * dim) : 0);
  if (bottom_) {
    vectors.push_back(first_.data() + rows.begin * dim);
    gradients.push_back(first.data());
  }
  for (std::int64_t t = 0; t < parts_.vectors; ++t) {
    vectors.push_back(pooled[static_cast<std::size_t>(t)] + rows.begin * dim);
    gradients.push_back(pooled_gradients[static_cast<std::size_t>(t)] + rows.begin * dim);
  }
  if (parts_.dot) {
    const InteractionShape shape{count, dim, parts_.itself, bottom_.has_value()};
    copy_rows(rows, crossed_gradient_.data(), stride, plain_.data(), inputs, inputs);
    dot_interaction_backward(shape, vectors, plain_.data() + rows.begin * inputs, gradients);
  } else {
    for (std::size_t v = 0; v < vectors.size(); ++v)
      for (std::int64_t row = 0; row < count; ++row)
        std::copy_n(crossed_gradient_.data() + (rows.begin + row) * stride + static_cast<std::int64_t>(v) * dim, dim,
                    gradients[v] + row * dim);
  }
  for (std::int64_t row = 0; row < std::ssize(first) / dim; ++row)
    std::copy_n(first.data() + row * dim, dim, first_gradient_.data() + (rows.begin + row) * padded(dim));
}

void DlrmPass::forward(std::int64_t begin, std::int64_t end, std::span<const float* const> pooled, float* logits) {
  share_rows(begin, end, threads_, [&](const RowRange& rows) {
    interact(rows, pooled);
    top_.forward(rows, crossed_.data(), input_);
    const std::int64_t stride = padded(top_.outputs());
    const float* weights = parts_.dense_linear.defined() ? parts_.dense_linear.data_ptr<float>() : nullptr;
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      float logit = top_.output()[row * stride];
      for (auto t = static_cast<std::size_t>(parts_.vectors); t < pooled.size(); ++t) logit += pooled[t][row];
      if (weights != nullptr) {
        float sum = 0;
        for (std::int64_t d = 0; d < parts_.dense; ++d) sum += input_.dense[row * parts_.dense + d] * weights[d];
        logit += sum;
      }
      logits[row - begin] = logit;
    }
  });
}

void DlrmPass::backward(std::int64_t begin, std::int64_t end, std::span<const float* const> pooled,
                        std::span<float* const> pooled_gradients, const float* logit_gradients) {
  share_rows(begin, end, threads_, [&](const RowRange& rows) {
    const std::int64_t stride = padded(top_.outputs());
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      top_gradient_[static_cast<std::size_t>(row * stride)] = logit_gradients[row - begin];
      for (auto t = static_cast<std::size_t>(parts_.vectors); t < pooled_gradients.size(); ++t)
        pooled_gradients[t][row] = logit_gradients[row - begin];
    }
    top_.backward(rows, crossed_.data(), top_gradient_.data(), crossed_gradient_.data());
    interact_backward(rows, pooled, pooled_gradients);
    if (bottom_) bottom_->backward(rows, dense_.data(), first_gradient_.data(), nullptr);
  });
  if (parts_.dense_linear.defined()) {
    torch::Tensor& parameter = parts_.dense_linear;
    if (!parameter.grad().defined()) parameter.mutable_grad() = torch::zeros_like(parameter);
    float* gradient = parameter.grad().data_ptr<float>();
    for (std::int64_t row = begin; row < end; ++row)
      for (std::int64_t d = 0; d < parts_.dense; ++d)
        gradient[d] += logit_gradients[row - begin] * input_.dense[row * parts_.dense + d];
  }
  top_.finish();
  if (bottom_) bottom_->finish();
}

}  // namespace swallowtail
