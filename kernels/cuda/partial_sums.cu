#include "kernels/cuda/partial_sums.cuh"

#include <algorithm>

namespace swallowtail::cuda {

PartialSums::PartialSums(std::span<const PartialSum> sums, Stream& stream)
    : device_(to_device<PartialSum>(sums, stream)) {
  if (sums.size() > 65535) throw Failure("a device adds the parts of at most 65535 arrays at once");  // blockIdx.y
  for (const PartialSum& sum : sums) largest_ = std::max(largest_, sum.vectors * sum.cols);
  stream.wait();  // the copy reads the caller's sums
}

void add_parts(const PartialSums& sums, Stream& stream) {
  if (sums.largest() == 0) return;
  launch<kBlockThreads>({grid_for(sums.largest()).x, sums.count()}, 0, stream, AddParts{sums.on_device()});
}

}  // namespace swallowtail::cuda
