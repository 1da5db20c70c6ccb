// How a global batch is divided: into chunks that are computed one by one and summed in a fixed order, and over ranks.
//   deterministic  chunks of train.chunk samples; a rank takes whole chunks, so the arithmetic of a chunk (its matrix
//                  shapes too) is the same on any number of ranks
//   fast           one chunk a rank, samples divided evenly
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace swallowtail {

class BatchShare {
 public:
  BatchShare(bool deterministic, std::int64_t chunk_samples, int world_size);

  std::int64_t chunks(std::int64_t batch) const noexcept;
  /// Samples [first, second) of chunk `chunk` of a global batch of `batch` samples.
  std::pair<std::int64_t, std::int64_t> chunk_samples(std::int64_t batch, std::int64_t chunk) const noexcept;
  /// Chunks [first, second) of `rank`.
  std::pair<std::int64_t, std::int64_t> rank_chunks(std::int64_t batch, int rank) const noexcept;
  /// Samples [first, second) of `rank`.
  std::pair<std::int64_t, std::int64_t> rank_samples(std::int64_t batch, int rank) const noexcept;
  /// Samples of every rank, [world_size].
  std::vector<std::int64_t> sizes(std::int64_t batch) const;
  bool deterministic() const noexcept { return deterministic_; }

 private:
  bool deterministic_;
  std::int64_t chunk_samples_;
  int world_size_;
};

}  // namespace swallowtail
