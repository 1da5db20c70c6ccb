#include "kernels/cuda/auc.cuh"

#include "kernels/cuda/sort.h"

namespace swallowtail::cuda {

std::optional<double> area_of(const AucCounts& counts) noexcept {
  if (counts.refused > 0 || counts.positives == 0 || counts.negatives == 0) return {};
  return static_cast<double>(counts.won_twice) / 2 /
         (static_cast<double>(counts.positives) * static_cast<double>(counts.negatives));
}

void count_auc(const float* scores, const float* labels, std::int64_t size, AucCounts* counts, AucScratch& scratch,
               Stream& stream) {
  zero(counts, 1, stream);
  if (size == 0) return;
  scratch.keys.reserve(size);
  scratch.sorted_keys.reserve(size);
  scratch.negatives.reserve(size);
  const Grid grid = grid_for(size);
  launch<kBlockThreads>(grid, 0, stream, AucKeys{scores, labels, scratch.keys.data(), counts, size});
  sort_keys(scratch.keys.data(), scratch.sorted_keys.data(), size, 32, scratch.library, stream);
  launch<kBlockThreads>(grid, 0, stream, AucNegatives{scratch.sorted_keys.data(), scratch.negatives.data(), size});
  inclusive_sum(scratch.negatives.data(), scratch.negatives.data(), size, scratch.library, stream);
  launch<kBlockThreads>(grid, 0, stream, AucPairs{scratch.sorted_keys.data(), scratch.negatives.data(), counts, size});
}

}  // namespace swallowtail::cuda
