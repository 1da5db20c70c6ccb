#include "kernels/cuda/click_loss.cuh"

namespace swallowtail::cuda {

void sum_logits(const LogitTerms& terms, float* logits, Stream& stream) {
  if (terms.samples == 0) return;
  launch<kBlockThreads>(grid_for(terms.samples), 0, stream, SumLogits{terms, logits});
}

void spread_gradient(std::int64_t samples, const float* logit_gradient, const LogitGradient& gradient, Stream& stream) {
  if (samples > 0)
    launch<kBlockThreads>(grid_for(samples), 0, stream, SpreadGradient{samples, logit_gradient, gradient});
}

void click_loss(const ClickLoss& loss, const LossInput& input, double* sum, const LogitGradient& gradient,
                LossScratch& scratch, Stream& stream) {
  const std::int64_t blocks = divide_up(input.samples, kBlockThreads);
  scratch.partial_sums.reserve(blocks);
  if (blocks > 0)
    launch<kBlockThreads>({blocks, 1}, SampleLoss::shared_bytes(), stream,
                          SampleLoss{loss, input, gradient, scratch.partial_sums.data()});
  launch<kBlockThreads>({1, 1}, block_sum_bytes(), stream, AddPartialSums{scratch.partial_sums.data(), sum, blocks});
}

}  // namespace swallowtail::cuda
