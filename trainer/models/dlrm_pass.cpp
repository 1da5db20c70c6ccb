#include "trainer/models/dlrm_pass.h"

#include <ATen/Parallel.h>
#include <omp.h>

#include <algorithm>
#include <numeric>

#include "kernels/interaction.h"

namespace swallowtail {

namespace {

constexpr std::int64_t kRowsAThread = 16;  // fewer are not worth waking a thread
constexpr std::int64_t kBlockRows = 128;   // taken through all layers together
constexpr std::int64_t kRowStep = 8;       // in which rows are dealt out

void copy_rows(std::int64_t rows, const float* from, std::int64_t from_stride, float* to, std::int64_t to_stride,
               std::int64_t columns) {
  for (std::int64_t row = 0; row < rows; ++row) std::copy_n(from + row * from_stride, columns, to + row * to_stride);
}

/// The library's matrix products divide their sums among the threads that they find, so a fixed order wants one.
class OneThread {
 public:
  explicit OneThread(bool wanted) : before_(wanted ? at::get_num_threads() : 0) {
    if (before_ > 1) at::set_num_threads(1);
  }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;
  ~OneThread() {
    if (before_ > 1) at::set_num_threads(before_);
  }

 private:
  int before_;
};

/// Calls `part` for each thread's rows, on that many threads.
template <typename Function>
void share_rows(std::int64_t begin, std::int64_t end, int threads, const Function& part) {
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    const auto [first, last] = part_of(begin, end, kRowStep, omp_get_thread_num(), omp_get_num_threads());
    part(RowRange{first, last, omp_get_thread_num()});
  }
}

template <typename Function>
void each_block(const RowRange& rows, const Function& block) {
  for (std::int64_t begin = rows.begin; begin < rows.end; begin += kBlockRows)
    block(RowRange{begin, std::min(begin + kBlockRows, rows.end), rows.thread});
}

}  // namespace

DlrmPass::DlrmPass(const DlrmParts& parts) : parts_(parts), top_(*parts.top) {
  if (parts.bottom != nullptr) bottom_.emplace(*parts.bottom);
  if (parts.cross != nullptr) cross_.emplace(*parts.cross);
}

std::int64_t DlrmPass::floats_a_sample() const {
  const std::int64_t of_top = top_.floats_a_row() + 2 * padded(top_.inputs()) + padded(top_.outputs()) + 1 +
                              (cross_ ? cross_->floats_a_row() : 0);
  if (!bottom_) return of_top;
  const std::int64_t first = padded(parts_.dim) + (padded(parts_.dim) == parts_.dim ? 0 : parts_.dim);
  return of_top + bottom_->floats_a_row() + padded(parts_.dense) + first;
}

void DlrmPass::begin(const DenseInput& input) {
  input_ = input;
  threads_ = input.fixed_order ? 1 : omp_get_max_threads();
  bottom_end_ = 0;
  is_fresh_ = input.fresh;
  const std::int64_t samples = input.samples;
  if (bottom_) {
    bottom_->begin(samples, threads_, input.fresh);
    grow(dense_, samples * padded(parts_.dense));
    grow(first_, padded(parts_.dim) == parts_.dim ? 0 : samples * parts_.dim);
    grow(first_gradient_, samples * padded(parts_.dim));
  }
  if (cross_) cross_->begin(samples, threads_, input.fresh);
  top_.begin(samples, threads_, input.fresh);
  grow(crossed_, samples * padded(top_.inputs()));
  grow(crossed_gradient_, samples * padded(top_.inputs()));
  grow(top_gradient_, samples * padded(top_.outputs()));
  grow(logit_gradients_, samples);
}

void DlrmPass::bottom_rows(const RowRange& rows) {
  const std::int64_t count = rows.end - rows.begin, dim = parts_.dim;
  copy_rows(count, input_.dense + rows.begin * parts_.dense, parts_.dense,
            dense_.data() + rows.begin * padded(parts_.dense), padded(parts_.dense), parts_.dense);
  bottom_->forward(rows, dense_.data(), input_);
  if (padded(dim) != dim)
    copy_rows(count, bottom_->output() + rows.begin * padded(dim), padded(dim), first_.data() + rows.begin * dim, dim,
              dim);
}

void DlrmPass::bottom(std::int64_t begin, std::int64_t end) {
  if (!bottom_) return;
  const OneThread one(input_.fixed_order);
  const auto threads = static_cast<int>(std::clamp<std::int64_t>((end - begin) / kRowsAThread, 1, threads_));
  share_rows(begin, end, threads,
             [&](const RowRange& rows) { each_block(rows, [&](const RowRange& block) { bottom_rows(block); }); });
  bottom_end_ = end;
}

void DlrmPass::interact(const RowRange& rows, const Vectors& of) {
  const std::int64_t dim = parts_.dim, stride = padded(top_.inputs());
  std::vector<const float*> vectors;
  if (bottom_) vectors.push_back((padded(dim) == dim ? bottom_->output() : first_.data()) + rows.begin * dim);
  for (std::int64_t t = 0; t < parts_.vectors; ++t)
    vectors.push_back(of.pooled[static_cast<std::size_t>(t)] + rows.begin * dim);
  float* const crossed = crossed_.data() + rows.begin * stride;
  if (parts_.dot)
    return dot_interaction_forward({rows.end - rows.begin, dim, parts_.itself, bottom_.has_value(), stride}, vectors,
                                   crossed);
  for (std::size_t v = 0; v < vectors.size(); ++v)
    copy_rows(rows.end - rows.begin, vectors[v], dim, crossed + static_cast<std::int64_t>(v) * dim, stride, dim);
}

void DlrmPass::interact_backward(const RowRange& rows, const Vectors& of) {
  const std::int64_t dim = parts_.dim, stride = padded(top_.inputs()), count = rows.end - rows.begin;
  const bool in_place = padded(dim) == dim;
  std::vector<const float*> vectors;
  std::vector<float*> gradients;
  std::vector<float> first(bottom_ && !in_place ? static_cast<std::size_t>(count * dim) : 0);
  float* const first_gradient = first_gradient_.data() + rows.begin * padded(dim);
  if (bottom_) {
    vectors.push_back((in_place ? bottom_->output() : first_.data()) + rows.begin * dim);
    gradients.push_back(in_place ? first_gradient : first.data());
  }
  for (std::int64_t t = 0; t < parts_.vectors; ++t) {
    vectors.push_back(of.pooled[static_cast<std::size_t>(t)] + rows.begin * dim);
    gradients.push_back(of.gradients[static_cast<std::size_t>(t)] + rows.begin * dim);
  }
  const float* const crossed = crossed_gradient_.data() + rows.begin * stride;
  if (parts_.dot)
    dot_interaction_backward({count, dim, parts_.itself, bottom_.has_value(), stride}, vectors, crossed, gradients);
  else
    for (std::size_t v = 0; v < vectors.size(); ++v)
      copy_rows(count, crossed + static_cast<std::int64_t>(v) * dim, stride, gradients[v], dim, dim);
  if (bottom_ && !in_place) copy_rows(count, first.data(), dim, first_gradient, padded(dim), dim);
}

/// logits [rows of the part, in place]: the top MLP's and the linear terms.
void DlrmPass::add_linear(const RowRange& rows, const Vectors& of, float* logits) const {
  const std::int64_t stride = padded(top_.outputs());
  const float* weights = parts_.dense_linear.defined() ? parts_.dense_linear.data_ptr<float>() : nullptr;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    float logit = top_.output()[row * stride];
    for (auto t = static_cast<std::size_t>(parts_.vectors); t < of.pooled.size(); ++t) logit += of.pooled[t][row];
    if (weights != nullptr) {
      float sum = 0;
      for (std::int64_t d = 0; d < parts_.dense; ++d) sum += input_.dense[row * parts_.dense + d] * weights[d];
      logit += sum;
    }
    logits[row - rows.begin] = logit;
  }
}

void DlrmPass::linear_backward(std::int64_t begin, std::int64_t end) {
  if (!parts_.dense_linear.defined()) return;
  const torch::Tensor& parameter = parts_.dense_linear;
  float* const gradient = gradient_of(parameter);
  if (is_fresh_) std::fill_n(gradient, parts_.dense, 0.0F);
  for (std::int64_t row = begin; row < end; ++row)
    for (std::int64_t d = 0; d < parts_.dense; ++d)
      gradient[d] += logit_gradients_[static_cast<std::size_t>(row)] * input_.dense[row * parts_.dense + d];
}

double DlrmPass::train(std::int64_t begin, std::int64_t end, std::span<const float* const> pooled,
                       std::span<float* const> pooled_gradients, float* logits, const StepHooks& hooks) {
  const Vectors vectors{pooled, pooled_gradients};
  const OneThread one(input_.fixed_order);
  const auto threads = static_cast<int>(std::clamp<std::int64_t>((end - begin) / kRowsAThread, 1, threads_));
  std::vector<double> losses(static_cast<std::size_t>(threads), 0.0);
  share_rows(begin, end, threads, [&](const RowRange& rows) {
    each_block(rows, [&](const RowRange& block) {
      if (bottom_ && block.begin >= bottom_end_) bottom_rows(block);
      interact(block, vectors);
      if (cross_) cross_->forward(block, crossed_.data());
      top_.forward(block, top_input(), input_);
      float* const of_logits = logit_gradients_.data();
      add_linear(block, vectors, logits + block.begin - begin);
      losses[static_cast<std::size_t>(block.thread)] +=
          hooks.loss(block.begin, block.end, logits + block.begin - begin, of_logits + block.begin);
      const std::int64_t stride = padded(top_.outputs());
      for (std::int64_t row = block.begin; row < block.end; ++row) {
        top_gradient_[static_cast<std::size_t>(row * stride)] = of_logits[row];
        for (auto t = static_cast<std::size_t>(parts_.vectors); t < pooled_gradients.size(); ++t)
          pooled_gradients[t][row] = of_logits[row];
      }
      top_.backward(block, top_gradient_.data(), crossed_gradient_.data());
      if (cross_) cross_->backward(block, crossed_.data(), crossed_gradient_.data());
      interact_backward(block, vectors);
      if (bottom_) bottom_->backward(block, first_gradient_.data(), nullptr);
      if (block.thread == 0 && hooks.progress) hooks.progress();
    });
#pragma omp barrier
    const RowRange all{begin, end, rows.thread};
    const int of = omp_get_num_threads();
    top_.weight_gradients(all, of, top_input(), top_gradient_.data());
    if (cross_) cross_->weight_gradients(all, of, crossed_.data());
    if (bottom_) bottom_->weight_gradients(all, of, dense_.data(), first_gradient_.data());
  });
  linear_backward(begin, end);
  is_fresh_ = false;
  top_.finish();
  if (cross_) cross_->finish();
  if (bottom_) bottom_->finish();
  return std::accumulate(losses.begin(), losses.end(), 0.0);
}

}  // namespace swallowtail
