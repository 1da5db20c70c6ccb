#include "kernels/cuda/activation.cuh"

namespace swallowtail::cuda {

namespace {

template <Precision kOut>
void forward(const Layer& layer, const float* sums, const float* bias, const StepFacts* facts, const Activations& out,
             Stream& stream) {
  const auto threshold = static_cast<std::uint64_t>(layer.dropout.probability * 0x1.0p32);
  launch<kBlockThreads>(grid_for(layer.rows * layer.columns / 4), 0, stream,
                        Activate<kOut>{ActivationFrame(layer, out.data, out.stride), sums, bias, facts, out.data,
                                       layer.dropout.seed, layer.dropout.layer, threshold, layer.dropout.keep()});
}

template <Precision kOut, Precision kInner>
void backward(const Layer& layer, const float* gradient, std::int64_t gradient_stride, const Activations& out,
              const Activations& inner, float* partial_sums, Stream& stream) {
  const int lanes = lanes_for(static_cast<int>(layer.columns / 4));
  // Both matrices of the outside must allow vectors.
  const bool aligned = reinterpret_cast<std::uintptr_t>(out.data) % 16 == 0;
  ActivationFrame frame(layer, gradient, gradient_stride);
  frame.aligned = frame.aligned && aligned;
  using Kernel = ActivateBackward<kOut, kInner>;
  launch<kBlockThreads>({divide_up(layer.rows, kSumRows), divide_up(layer.columns, 4 * lanes)}, Kernel::shared_bytes(),
                        stream,
                        Kernel{frame, gradient, out.data, out.stride, inner.data, inner.stride, partial_sums,
                               layer.dropout.probability > 0 ? layer.dropout.keep() : 1.0F, lanes});
}

}  // namespace

void activate(const Layer& layer, const float* sums, const float* bias, const StepFacts* facts, const Activations& out,
              Stream& stream) {
  if (layer.rows == 0) return;
  if (out.precision == Precision::fp16) return forward<Precision::fp16>(layer, sums, bias, facts, out, stream);
  if (out.precision == Precision::bf16) return forward<Precision::bf16>(layer, sums, bias, facts, out, stream);
  forward<Precision::fp32>(layer, sums, bias, facts, out, stream);
}

void activate_backward(const Layer& layer, const float* gradient, std::int64_t gradient_stride, const Activations& out,
                       const Activations& inner, float* bias_gradient, ActivationScratch& scratch, Stream& stream) {
  if (layer.rows == 0) return zero(bias_gradient, layer.columns, stream);
  const std::int64_t pieces = divide_up(layer.rows, kSumRows);
  scratch.partial_sums.reserve(pieces * layer.columns);
  float* const partial = scratch.partial_sums.data();
  const auto run = [&]<Precision kOut, Precision kInner>() {
    backward<kOut, kInner>(layer, gradient, gradient_stride, out, inner, partial, stream);
  };
  using enum Precision;
  if (inner.precision == fp16)
    is_half(out.precision) ? run.template operator()<fp16, fp16>() : run.template operator()<fp32, fp16>();
  else if (inner.precision == bf16)
    is_half(out.precision) ? run.template operator()<bf16, bf16>() : run.template operator()<fp32, bf16>();
  else
    run.template operator()<fp32, fp32>();
  launch<kBlockThreads>({divide_up(layer.columns, kSumColumns), 1}, AddPieces::shared_bytes(), stream,
                        AddPieces{partial, bias_gradient, pieces, static_cast<int>(layer.columns)});
}

void copy_columns(const Extent& extent, const Strided& from, const Strided& to, Stream& stream) {
  const std::int64_t count = extent.rows * extent.columns;
  if (count > 0) launch<kBlockThreads>(grid_for(count), 0, stream, CopyColumns{extent, from, to});
}

void sum_columns(const Extent& extent, const Strided& a, const Strided& b, const Strided& to, Stream& stream) {
  const std::int64_t count = extent.rows * extent.columns;
  if (count > 0) launch<kBlockThreads>(grid_for(count), 0, stream, SumColumns{extent, a, b, to});
}

}  // namespace swallowtail::cuda
