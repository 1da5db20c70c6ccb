#include "kernels/cuda/dense_update.cuh"

namespace swallowtail::cuda {

void find_non_finite(const float* values, std::int64_t count, unsigned long long* first, Stream& stream) {
  detail::fill(first, 0xff, sizeof *first, stream);  // kNoBadPlace
  if (count > 0) launch<kBlockThreads>(grid_for(count), 0, stream, FindNonFinite{values, count, first});
}

void unscale(float* values, std::int64_t count, const StepFacts* facts, Stream& stream) {
  if (count > 0) launch<kBlockThreads>(grid_for(count), 0, stream, Unscale{values, count, facts});
}

void sum_of_squares(const float* values, std::int64_t count, double* sum, SquaresScratch& scratch, Stream& stream) {
  const Grid grid = grid_for(count);
  scratch.partial_sums.reserve(grid.x);
  if (count > 0)
    launch<kBlockThreads>(grid, block_sum_bytes(), stream, SumSquares{values, count, scratch.partial_sums.data()});
  launch<kBlockThreads>({1, 1}, block_sum_bytes(), stream, AddPartialSums{scratch.partial_sums.data(), sum, grid.x});
}

void update_dense(const DenseUpdate& update, Stream& stream) {
  if (update.count > 0) launch<kBlockThreads>(grid_for(update.count), 0, stream, UpdateDense{update});
}

void round_to_half(Precision precision, const float* values, std::int64_t count, void* out, Stream& stream) {
  if (count == 0) return;
  auto* const halves = static_cast<std::uint16_t*>(out);
  if (precision == Precision::fp16)
    launch<kBlockThreads>(grid_for(count), 0, stream, RoundToHalf<Precision::fp16>{values, count, halves});
  else
    launch<kBlockThreads>(grid_for(count), 0, stream, RoundToHalf<Precision::bf16>{values, count, halves});
}

}  // namespace swallowtail::cuda
