#include "trainer/training/batch_share.h"

#include <algorithm>

#include "parallel/deterministic_reduce.h"

namespace swallowtail {

BatchShare::BatchShare(bool deterministic, std::int64_t chunk_samples, int world_size)
    : deterministic_(deterministic), chunk_samples_(chunk_samples), world_size_(world_size) {}

std::int64_t BatchShare::chunks(std::int64_t batch) const noexcept {
  return deterministic_ ? (batch + chunk_samples_ - 1) / chunk_samples_ : world_size_;
}

std::pair<std::int64_t, std::int64_t> BatchShare::chunk_samples(std::int64_t batch, std::int64_t chunk) const noexcept {
  if (!deterministic_) return {batch * chunk / world_size_, batch * (chunk + 1) / world_size_};
  return {std::min(batch, chunk * chunk_samples_), std::min(batch, (chunk + 1) * chunk_samples_)};
}

std::pair<std::int64_t, std::int64_t> BatchShare::rank_chunks(std::int64_t batch, int rank) const noexcept {
  return chunk_share(chunks(batch), rank, world_size_);
}

std::pair<std::int64_t, std::int64_t> BatchShare::rank_samples(std::int64_t batch, int rank) const noexcept {
  const auto [first, end] = rank_chunks(batch, rank);
  return {chunk_samples(batch, first).first,
          end == first ? chunk_samples(batch, first).first : chunk_samples(batch, end - 1).second};
}

std::vector<std::int64_t> BatchShare::sizes(std::int64_t batch) const {
  std::vector<std::int64_t> sizes;
  for (int rank = 0; rank < world_size_; ++rank) {
    const auto [begin, end] = rank_samples(batch, rank);
    sizes.push_back(end - begin);
  }
  return sizes;
}

}  // namespace swallowtail
