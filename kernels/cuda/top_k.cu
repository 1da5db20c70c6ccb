#include "kernels/cuda/top_k.cuh"

#include <bit>
#include <string>

namespace swallowtail::cuda {

void top_k(const DeviceTopK& of, const float* scores, std::int64_t* items, float* best_scores, Stream& stream) {
  if (of.k > kMostTopK || of.items > kMostTopKItems)
    throw Failure("the " + std::to_string(of.k) + " best of " + std::to_string(of.items) +
                  " items are beyond the device's " + std::to_string(kMostTopK) + " of " +
                  std::to_string(kMostTopKItems) + "; rank on the CPU");
  if (of.users == 0 || of.k == 0) return;
  const auto padded_k = static_cast<int>(std::bit_ceil(static_cast<unsigned>(of.k < 2 ? 2 : of.k)));
  launch<kBlockThreads>({of.users, 1}, SelectTopK::shared_bytes(of.items, padded_k), stream,
                        SelectTopK{of, scores, items, best_scores, padded_k});
}

}  // namespace swallowtail::cuda
