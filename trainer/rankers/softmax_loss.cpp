#include "trainer/rankers/softmax_loss.h"

#include <algorithm>
#include <vector>

#include "kernels/softmax_rows.h"

namespace swallowtail {
namespace {

constexpr std::int64_t kLogitsAtOnce = 128 * 1024;  // a core's second cache and a little more

/// Rows that are computed together: a matrix product wants some, whatever the cache says.
std::int64_t rows_at_once(std::int64_t classes) {
  return std::clamp<std::int64_t>(kLogitsAtOnce / std::max<std::int64_t>(1, classes) / 16 * 16, 16, 256);
}

struct SoftmaxLoss : torch::autograd::Function<SoftmaxLoss> {
  /// The gradients are made here, with the logits at hand; backward() only scales them.
  static torch::Tensor forward(torch::autograd::AutogradContext* tape, const torch::Tensor& hidden,
                               const torch::Tensor& classes, const std::optional<torch::Tensor>& bias,
                               const torch::Tensor& targets) {
    const std::int64_t n = hidden.size(0), width = classes.size(0);
    const torch::Tensor h = hidden.contiguous(), to_classes = classes.t(), asked = targets.contiguous();
    torch::Tensor h_gradient = torch::empty_like(h), class_gradient = torch::zeros_like(classes);
    torch::Tensor bias_gradient = bias ? torch::zeros_like(*bias) : torch::Tensor();
    const torch::Tensor losses = torch::empty({n}, h.options());
    const torch::Tensor logits = torch::empty({std::min(n, rows_at_once(width)), width}, h.options());
    for (std::int64_t first = 0; first < n; first += rows_at_once(width)) {
      const std::int64_t rows = std::min(rows_at_once(width), n - first);
      torch::Tensor block = logits.slice(0, 0, rows), block_gradient = h_gradient.slice(0, first, first + rows);
      const torch::Tensor block_hidden = h.slice(0, first, first + rows);
      if (bias)
        at::addmm_out(block, *bias, block_hidden, to_classes);
      else
        at::mm_out(block, block_hidden, to_classes);
      const auto* const block_targets = asked.data_ptr<std::int64_t>() + first;
      if (h.scalar_type() == torch::kFloat32)
        softmax_cross_entropy(rows, width, block_targets, block.data_ptr<float>(), losses.data_ptr<float>() + first);
      else
        softmax_cross_entropy(rows, width, block_targets, block.data_ptr<double>(), losses.data_ptr<double>() + first);
      at::mm_out(block_gradient, block, classes);
      class_gradient.addmm_(block.t(), block_hidden);
      if (bias) bias_gradient.add_(block.sum(0));
    }
    tape->save_for_backward(bias ? torch::autograd::variable_list{h_gradient, class_gradient, bias_gradient}
                                 : torch::autograd::variable_list{h_gradient, class_gradient});
    return losses.sum();
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* tape,
                                               const torch::autograd::tensor_list& gradients) {
    torch::autograd::tensor_list scaled;
    for (const torch::Tensor& saved : tape->get_saved_variables()) scaled.push_back(saved * gradients[0]);
    scaled.resize(4);  // of a bias that there is not, and of the targets
    return scaled;
  }
};

}  // namespace

torch::Tensor softmax_loss(const torch::Tensor& hidden, const torch::Tensor& classes,
                           const std::optional<torch::Tensor>& bias, const torch::Tensor& targets) {
  return SoftmaxLoss::apply(hidden, classes, bias, targets);
}

}  // namespace swallowtail
