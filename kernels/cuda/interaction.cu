#include <algorithm>
#include <string>

#include "kernels/cuda/interaction_half.cuh"

namespace swallowtail::cuda {

namespace {

constexpr std::int64_t kMostShared = 227 * 1024;
constexpr std::int64_t kGoodShared = 64 * 1024;  // three blocks of this run side by side
constexpr int kHalfWarps = 4;

void check_fits(std::int64_t bytes, const DotInteraction& of) {
  if (bytes > kMostShared)
    throw Failure("the interaction of " + std::to_string(of.features) + " vectors of " + std::to_string(of.shape.dim) +
                  " wants " + std::to_string(bytes) + " bytes of shared memory, and a device has " +
                  std::to_string(kMostShared) + "; make embedding_dim smaller");
}

/// Warps of a block, one a sample, as far as shared memory goes.
template <typename Kernel, int kWarps = kHalfWarps>
void launch_half(const DotInteraction& of, const Kernel& kernel, Stream& stream) {
  const auto features = static_cast<int>(of.features), dim = static_cast<int>(of.shape.dim);
  const std::int64_t bytes = Kernel::shared_bytes(features, dim, kWarps);
  if constexpr (kWarps > 1) {
    if (bytes > kMostShared) return launch_half<Kernel, 1>(of, kernel, stream);
  }
  check_fits(bytes, of);
  launch<32 * kWarps>({divide_up(of.shape.batch, kWarps), 1}, bytes, stream, kernel);
}

}  // namespace

void dot_interaction_forward(const DotInteraction& of, float* out, Stream& stream) {
  if (of.shape.batch == 0 || of.features == 0) return;
  const auto features = static_cast<int>(of.features), dim = static_cast<int>(of.shape.dim);
  const int tile_rows = DotForward::padded(features) / 4, tiles = tile_rows * (tile_rows + 1) / 2;
  const std::int64_t one = DotForward::shared_bytes(features, dim, 1);
  check_fits(one, of);
  const auto samples = static_cast<int>(
      std::max<std::int64_t>(1, std::min<std::int64_t>(kInteractionThreads / tiles, kGoodShared / one)));
  launch<kInteractionThreads>({divide_up(of.shape.batch, samples), 1}, DotForward::shared_bytes(features, dim, samples),
                              stream, DotForward{of, out, samples});
}

void dot_interaction_backward(const DotInteraction& of, const float* grad_out, const Vectors* grad_vectors,
                              Stream& stream) {
  if (of.shape.batch == 0 || of.features == 0) return;
  const std::int64_t bytes = DotBackward::shared_bytes(static_cast<int>(of.features), static_cast<int>(of.shape.dim));
  check_fits(bytes, of);
  launch<kInteractionThreads>({of.shape.batch, 1}, bytes, stream, DotBackward{of, grad_out, grad_vectors});
}

void dot_interaction_forward(Half type, const DotInteraction& of, void* out, Stream& stream) {
  if (of.shape.batch == 0 || of.features == 0) return;
  if (type == Half::fp16) {
    launch_half(of, HalfDotForward<__half>{of, static_cast<__half*>(out)}, stream);
  } else {
    launch_half(of, HalfDotForward<__nv_bfloat16>{of, static_cast<__nv_bfloat16*>(out)}, stream);
  }
}

void dot_interaction_backward(Half type, const DotInteraction& of, const void* grad_out, const Vectors* grad_vectors,
                              Stream& stream) {
  if (of.shape.batch == 0 || of.features == 0) return;
  if (type == Half::fp16) {
    launch_half(of, HalfDotBackward<__half>{of, static_cast<const __half*>(grad_out), grad_vectors}, stream);
  } else {
    launch_half(of, HalfDotBackward<__nv_bfloat16>{of, static_cast<const __nv_bfloat16*>(grad_out), grad_vectors},
                stream);
  }
}

}  // namespace swallowtail::cuda
